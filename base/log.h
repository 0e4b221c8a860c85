// Log lines in the shape of the reference: time, level, message, fields.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace kiln::log {

enum class Level { kTrace, kDebug, kInfo, kWarning, kError, kFatal };
enum class Format { kText, kJson };

using Field = std::pair<std::string_view, std::string>;

// Process-wide settings; call before other threads log.
void SetLevel(Level level);
void SetFormat(Format format);
bool Enabled(Level level);
// "trace", "debug", "info", "warn"/"warning", "error", "fatal"; false if unknown.
bool ParseLevel(std::string_view text, Level* level);

// Writes one line to stderr in one write. Thread-safe.
void Write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void Debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, message, fields);
}
inline void Info(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, message, fields);
}
inline void Warning(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kWarning)) Write(Level::kWarning, message, fields);
}
inline void Error(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kError)) Write(Level::kError, message, fields);
}

}  // namespace kiln::log
