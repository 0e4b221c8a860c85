#include "worker/op/file/file_attributes.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/strings.h"

namespace kiln::worker {
namespace {

constexpr uint32_t kAllBits = 07777;
constexpr uint32_t kAnyExecute = 0111;

Status SyntaxError() { return UnknownError("invalid syntax"); }

// The three bits of one class, in all three places.
uint32_t Spread(uint32_t three) { return three << 6 | three << 3 | three; }

uint32_t ClassBits(uint32_t mode, char from) {
  int shift = from == 'u' ? 6 : from == 'g' ? 3 : 0;
  return mode >> shift & 7;
}

}  // namespace

StatusOr<uint32_t> SymbolicMode::ParseWho(std::string_view* text) {
  uint32_t who = 0;
  for (; !text->empty(); text->remove_prefix(1)) {
    switch (text->front()) {
      case 'a':
        who |= 06777;
        break;
      case 'u':
        who |= 04700;
        break;
      case 'g':
        who |= 02070;
        break;
      case 'o':
        who |= 0007;
        break;
      default:
        return who;
    }
  }
  return SyntaxError();
}

// False if `letter` is none of the letters that may follow an operator.
bool SymbolicMode::TakeLetter(char letter, uint32_t who, Step* step) {
  // For "other" alone, set-id and sticky mean nothing.
  const bool special = who == 0 || (who & ~0007u) != 0;
  switch (letter) {
    case 'r':
      step->bits |= 0444;
      return true;
    case 'w':
      step->bits |= 0222;
      return true;
    case 'x':
      step->bits |= kAnyExecute;
      return true;
    case 'X':
      step->conditional_x |= step->op != '-';
      step->bits |= step->op == '-' ? kAnyExecute : 0;
      return true;
    case 's':
      step->bits |= special ? 06000 : 0;
      return true;
    case 't':
      step->bits |= special ? 01000 : 0;
      step->who |= special ? 01000 : 0;
      step->clear |= special ? 01000 : 0;
      return true;
    case 'u':
    case 'g':
    case 'o':
      step->copy_from = letter;
      return true;
    default:
      return false;
  }
}

// One clause: who, then one or more operators with their letters.
Status SymbolicMode::ParseClause(std::string_view* text) {
  ASSIGN_OR_RETURN(const uint32_t who, ParseWho(text));
  do {
    Step step;
    step.who = who == 0 ? kAllBits : who;
    step.clear = who == 0 ? 06777 : who;
    step.op = text->front();
    if (step.op != '+' && step.op != '-' && step.op != '=') return SyntaxError();
    text->remove_prefix(1);
    while (!text->empty() && TakeLetter(text->front(), who, &step)) text->remove_prefix(1);
    steps_.push_back(step);
  } while (!text->empty() && text->front() != ',');
  return OkStatus();
}

StatusOr<SymbolicMode> SymbolicMode::Parse(std::string_view text) {
  SymbolicMode mode;
  if (text.empty()) return SyntaxError();
  if (text[0] >= '0' && text[0] <= '9') {
    uint32_t value = 0;
    for (char digit : text) {
      if (digit < '0' || digit > '7') return SyntaxError();
      value = value * 8 + static_cast<uint32_t>(digit - '0');
      if (value > kAllBits) return SyntaxError();
    }
    Step step;
    step.who = step.clear = kAllBits;
    step.op = '=';
    step.bits = value;
    mode.steps_.push_back(step);
    return mode;
  }
  for (;;) {
    RETURN_IF_ERROR(mode.ParseClause(&text));
    if (text.empty()) return mode;
    text.remove_prefix(1);  // the comma
  }
}

uint32_t SymbolicMode::Apply(uint32_t mode, bool is_dir) const {
  const uint32_t before = mode & kAllBits;
  uint32_t now = before;
  for (const Step& step : steps_) {
    uint32_t bits = step.bits;
    if (step.conditional_x && ((before & kAnyExecute) != 0 || is_dir)) bits |= kAnyExecute;
    if (step.copy_from != 0) bits |= Spread(ClassBits(now, step.copy_from));
    if (step.op == '=') now &= ~step.clear;
    if (step.op == '-') {
      now &= ~(bits & step.who);
    } else {
      now |= bits & step.who;
    }
  }
  return now;
}

timespec TimespecOf(int64_t nanos) {
  timespec time = {};
  time.tv_sec = nanos / 1'000'000'000;
  time.tv_nsec = nanos % 1'000'000'000;
  if (time.tv_nsec < 0) {
    time.tv_nsec += 1'000'000'000;
    --time.tv_sec;
  }
  return time;
}

Status SetOwner(int dir, const std::string& name, const Owner& owner, const std::string& path) {
  if (::fchownat(dir, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) !=
      0) {
    return ErrnoStatus(errno, StrCat("lchown ", path));
  }
  return OkStatus();
}

Status SetTimes(int dir, const std::string& name, const timespec (&times)[2],
                const std::string& path) {
  const std::string target = name.empty() ? "." : name;
  if (::utimensat(dir, target.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("failed to utime ", path));
  }
  return OkStatus();
}

Status ApplyNew(int dir, const std::string& name, const AttributeChange& change,
                const std::string& path) {
  if (change.owner) {
    RETURN_IF_ERROR(SetOwner(dir, name, *change.owner, path));
  }
  if (change.timestamp) {
    timespec time = TimespecOf(*change.timestamp);
    RETURN_IF_ERROR(SetTimes(dir, name, {time, time}, path));
  }
  return OkStatus();
}

}  // namespace kiln::worker
