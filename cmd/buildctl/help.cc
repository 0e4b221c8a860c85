// See help.h.
#include "cmd/buildctl/help.h"

#include <algorithm>

#include "cmd/buildctl/version.h"

namespace kiln::buildctl {
namespace {

const char* HintOf(Kind kind) {
  switch (kind) {
    case Kind::kBool: return "";
    case Kind::kInt: return " int";
    case Kind::kFloat: return " float";
    case Kind::kDuration: return " duration";
    default: return " string";
  }
}

std::string SpecOf(const Flag& flag) {
  std::string hint = HintOf(flag.kind);
  std::string one = StrCat("--", flag.name, hint);
  if (flag.alias != nullptr) one += StrCat(", -", flag.alias, hint);
  return flag.kind == Kind::kList ? StrCat(one, " [ ", one, " ]") : one;
}

std::string UsageOf(const Flag& flag) {
  if (flag.kind == Kind::kBool || flag.default_text.empty()) return flag.usage;
  bool quoted = flag.kind == Kind::kText;
  return StrCat(flag.usage, " (default: ", quoted ? Quote(flag.default_text) : flag.default_text,
                ")");
}

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string Section(std::string_view title, const Rows& rows) {
  size_t width = 0;
  for (const auto& [left, right] : rows) width = std::max(width, left.size());
  std::string out = StrCat("\n", title, ":\n");
  for (const auto& [left, right] : rows) {
    out += StrCat("   ", left, std::string(width - left.size() + 2, ' '), right, "\n");
  }
  return out;
}

Rows FlagRows(const std::vector<Flag>& flags) {
  Rows rows;
  for (const Flag& flag : flags) rows.emplace_back(SpecOf(flag), UsageOf(flag));
  return rows;
}

}  // namespace

std::string HelpText(const std::vector<const Command*>& path) {
  const Command& command = *path.back();
  bool root = path.size() == 1;
  std::string name;
  for (const Command* part : path) name += (name.empty() ? "" : " ") + part->name;
  std::string out = StrCat("NAME:\n   ", name, " - ", command.usage, "\n\nUSAGE:\n   ");
  if (!command.usage_text.empty()) {
    out += StrCat(command.usage_text, "\n");
  } else if (!command.commands.empty()) {
    out += StrCat(name, root ? " [global options]" : "", " [command [command options]]\n");
  } else {
    out += StrCat(name, " [options]\n");
  }
  if (root) out += StrCat("\nVERSION:\n   ", Version(), "\n");
  if (!command.commands.empty()) {
    Rows rows;
    for (const Command& sub : command.commands) {
      if (sub.hidden) continue;
      rows.emplace_back(sub.alias.empty() ? sub.name : StrCat(sub.name, ", ", sub.alias),
                        sub.usage);
    }
    if (root) rows.emplace_back("help, h", "Shows a list of commands or help for one command");
    out += Section("COMMANDS", rows);
  }
  Rows rows = FlagRows(command.flags);
  rows.emplace_back("--help, -h", "show help");
  if (root) rows.emplace_back("--version, -v", "print the version");
  out += Section(root ? "GLOBAL OPTIONS" : "OPTIONS", rows);
  if (!root && command.commands.empty()) {
    out += Section("GLOBAL OPTIONS", FlagRows(path.front()->flags));
  }
  return out;
}

}  // namespace kiln::buildctl
