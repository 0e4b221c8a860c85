// DirectiveReader: the `# key=value` lines that may stand above everything else in a
// Dockerfile. Private to the line reader and directive.cc; the public side is ast.h.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::dockerfile {

// Takes lines in order; the first one that is no directive ends the section.
// Not thread-safe.
class DirectiveReader {
 public:
  // `mark` stands before the key: "#", "//" or nothing.
  explicit DirectiveReader(std::string_view mark = "#") : mark_(mark) {}

  bool done() const { return done_; }
  // False if the line is no directive. `key` comes out in lower case.
  // UNKNOWN "only one … parser directive can be used".
  StatusOr<bool> Read(std::string_view line, std::string* key, std::string* value);

 private:
  std::string mark_;
  std::set<std::string> seen_;
  bool done_ = false;
};

}  // namespace kiln::dockerfile
