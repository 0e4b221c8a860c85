#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/status.h"
#include "base/time.h"

namespace kiln::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};
std::atomic<Format> g_format{Format::kText};

constexpr std::string_view kNames[] = {"trace", "debug", "info", "warning", "error", "fatal"};

void AppendQuoted(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out.push_back(kHex[(c >> 4) & 15]);
          out.push_back(kHex[c & 15]);
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

bool IsPlain(std::string_view text) {
  if (text.empty()) {
    return false;
  }
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '/' || c == '@' || c == '^' || c == '+';
    if (!plain) {
      return false;
    }
  }
  return true;
}

void AppendTextValue(std::string& out, std::string_view text) {
  if (IsPlain(text)) {
    out += text;
  } else {
    AppendQuoted(out, text);
  }
}

std::string TextLine(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = StrCat("time=\"", FormatRfc3339(Now()), "\" level=",
                            kNames[static_cast<size_t>(level)], " msg=");
  AppendTextValue(line, message);
  for (const Field& field : fields) {
    line += StrCat(" ", field.first, "=");
    AppendTextValue(line, field.second);
  }
  line.push_back('\n');
  return line;
}

std::string JsonLine(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = "{";
  for (const Field& field : fields) {
    AppendQuoted(line, field.first);
    line.push_back(':');
    AppendQuoted(line, field.second);
    line.push_back(',');
  }
  line += StrCat("\"level\":\"", kNames[static_cast<size_t>(level)], "\",\"msg\":");
  AppendQuoted(line, message);
  line += StrCat(",\"time\":\"", FormatRfc3339(Now()), "\"}\n");
  return line;
}

}  // namespace

void SetLevel(Level level) { g_level = level; }
void SetFormat(Format format) { g_format = format; }
bool Enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

bool ParseLevel(std::string_view text, Level* level) {
  if (text == "warn") {
    text = "warning";
  }
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == text) {
      *level = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!Enabled(level)) {
    return;
  }
  std::string line = g_format == Format::kJson ? JsonLine(level, message, fields)
                                               : TextLine(level, message, fields);
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace kiln::log
