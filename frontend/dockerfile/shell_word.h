// ShellLex: quotes, escapes and variables of one word or line, as the Dockerfile
// has them (`$x`, `${x:-y}`, `${x#pat}`, `${x/a/b}`). Not a shell: no commands,
// no arithmetic, no globbing.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::dockerfile {

// Where variables come from.
class Env {
 public:
  virtual ~Env() = default;
  virtual std::optional<std::string> Get(std::string_view name) const = 0;
  virtual std::vector<std::string> Keys() const = 0;
};

// Env over "K=V" texts; the last of one name counts. Keys in order of the texts.
class ListEnv : public Env {
 public:
  ListEnv() = default;
  explicit ListEnv(const std::vector<std::string>& texts);
  std::optional<std::string> Get(std::string_view name) const override;
  std::vector<std::string> Keys() const override { return keys_; }

 private:
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> keys_;
};

// Names in the order in which they came first; for few of them.
class NameSet {
 public:
  void insert(const std::string& name) {
    if (!contains(name)) names_.push_back(name);
  }
  void erase(const std::string& name) { std::erase(names_, name); }
  bool contains(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  bool empty() const { return names_.empty(); }
  auto begin() const { return names_.begin(); }
  auto end() const { return names_.end(); }

 private:
  std::vector<std::string> names_;
};

struct WordResult {
  std::string word;                 // one word, quotes removed
  std::vector<std::string> words;   // split at blanks after expansion
  std::set<std::string> matched;    // variables that were found
  NameSet unmatched;                // and those that were not
};

// Plain settings; copy and change them at will. Safe on every thread.
struct ShellLex {
  char escape = '\\';
  bool raw_quotes = false;      // quotes stay in the result
  bool raw_escapes = false;     // escape characters stay
  bool skip_quotes = false;     // quotes are ordinary characters
  bool skip_unset_env = false;  // references to unset variables stay as written

  // UNKNOWN "failed to process \"…\": …"; nesting beyond 100 levels is an error, too.
  StatusOr<WordResult> Process(std::string_view word, const Env& env) const;
};

}  // namespace kiln::dockerfile
