// Owner, permission bits and times as file ops set them.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::worker {

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// What replaces the attributes of what is copied or made; unset parts stay.
struct AttributeChange {
  std::optional<Owner> owner = {};
  std::optional<int64_t> timestamp = {};  // nanoseconds since 1970
  std::optional<uint32_t> mode = {};      // permission bits with set-id and sticky
};

// A mode text of chmod(1): octal or clauses ("u=rwX,go-w").
class SymbolicMode {
 public:
  static StatusOr<SymbolicMode> Parse(std::string_view text);  // UNKNOWN "invalid syntax"
  uint32_t Apply(uint32_t mode, bool is_dir) const;

 private:
  struct Step {
    uint32_t who = 0;    // bits that may be set or taken
    uint32_t clear = 0;  // bits that '=' takes first
    char op = '+';
    uint32_t bits = 0;
    bool conditional_x = false;
    char copy_from = 0;  // 'u', 'g', 'o' or 0
  };
  static StatusOr<uint32_t> ParseWho(std::string_view* text);
  static bool TakeLetter(char letter, uint32_t who, Step* step);
  Status ParseClause(std::string_view* text);
  std::vector<Step> steps_;
};

timespec TimespecOf(int64_t nanos);

// Of an entry `name` in the folder `dir`, links themselves. "" for the folder proper.
Status SetOwner(int dir, const std::string& name, const Owner& owner, const std::string& path);
Status SetTimes(int dir, const std::string& name, const timespec (&times)[2],
                const std::string& path);
// After making: owner and time if they are asked for.
Status ApplyNew(int dir, const std::string& name, const AttributeChange& change,
                const std::string& path);

}  // namespace kiln::worker
