// FlagSet: the flags that one kind of instruction takes, and those that were given.
// Private to the instruction parser.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::dockerfile {

// Declare, Parse, read. Not thread-safe.
class FlagSet {
 public:
  enum class Kind { kBool, kText, kTexts };

  void Declare(std::string name, Kind kind) {
    flags_.push_back({.name = std::move(name), .kind = kind});
  }
  // UNKNOWN "unknown flag: --x (did you mean y?)", "duplicate flag specified: --x" …
  Status Parse(const std::vector<std::string>& words);

  bool given(std::string_view name) const { return Find(name).given; }
  const std::string& text(std::string_view name) const { return Find(name).text; }
  const std::vector<std::string>& texts(std::string_view name) const { return Find(name).texts; }
  bool is_true(std::string_view name) const { return Find(name).text == "true"; }
  // Names in order of first use.
  const std::vector<std::string>& used() const { return used_; }

 private:
  struct Flag {
    std::string name = {};
    Kind kind = Kind::kText;
    bool given = false;
    std::string text = {};
    std::vector<std::string> texts = {};
  };
  const Flag& Find(std::string_view name) const;
  Status ParseOne(std::string_view word);
  static Status SetBool(std::string_view name, bool has_value, std::string_view value, Flag* flag);

  std::vector<Flag> flags_;
  std::vector<std::string> used_;
};

}  // namespace kiln::dockerfile
