#include "worker/exec/container_user.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

constexpr uint64_t kMaxUserFile = 10 << 20;
constexpr int64_t kMaxId = 2147483647;

int64_t Number(std::string_view text) {
  int64_t value = 0;
  return ParseInt64(text, &value) ? value : 0;
}

// Calls `line` with the fields of each line that is not blank.
template <typename Fn>
void EachLine(std::string_view text, bool comments, const Fn& line) {
  for (std::string_view raw : StrSplit(text, '\n')) {
    std::string_view trimmed = TrimSpace(raw);
    if (trimmed.empty() || (comments && trimmed[0] == '#')) continue;
    line(StrSplit(trimmed, ':'));
  }
}

std::string_view Field(const std::vector<std::string_view>& fields, size_t index) {
  return index < fields.size() ? fields[index] : std::string_view();
}

// A numeric user or group argument; nullopt if it is a name or nothing.
StatusOr<std::optional<int64_t>> NumericId(std::string_view text) {
  int64_t value = 0;
  std::string_view digits = text;
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) digits.remove_prefix(1);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::optional<int64_t>();
  }
  std::string_view number = text[0] == '+' ? digits : text;
  if (!ParseInt64(number, &value) || value < 0 || value > kMaxId) {
    return UnknownError("uids and gids must be in range 0-2147483647");
  }
  return std::optional<int64_t>(value);
}

// Either part of "uid:gid" in its fast form.
std::optional<uint32_t> PlainId(std::string_view text) {
  if (text == "root") return 0;
  uint64_t value = 0;
  if (text.empty() || !ParseUint64(text, &value) || value > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(value);
}

std::optional<ContainerUser> PlainPair(std::string_view user) {
  std::string_view uid_text, gid_text;
  if (!StrCut(user, ":", &uid_text, &gid_text)) return std::nullopt;
  std::optional<uint32_t> uid = PlainId(uid_text);
  std::optional<uint32_t> gid = PlainId(gid_text);
  if (!uid || !gid) return std::nullopt;
  return ContainerUser{*uid, *gid, {}};
}

// Looks one user text up. Files that cannot be read count as absent, except ones too large.
class Lookup {
 public:
  Lookup(const RootedTree& tree, std::string_view user) : tree_(tree) {
    std::vector<std::string_view> parts = StrSplit(user, ':');
    user_ = Field(parts, 0);
    group_ = Field(parts, 1);
  }

  StatusOr<ContainerUser> Run() {
    ASSIGN_OR_RETURN(uid_, NumericId(user_));
    ASSIGN_OR_RETURN(gid_, NumericId(group_));
    RETURN_IF_ERROR(FindPasswd());
    if (!group_.empty() || !name_.empty()) {
      RETURN_IF_ERROR(FindGroups());
    }
    return found_;
  }

 private:
  Status FindPasswd() {
    StatusOr<std::string> text = ReadUserFile(tree_, "/etc/passwd");
    if (!text.ok() && text.status().code() == StatusCode::kResourceExhausted) {
      return Annotate(text.status(), StrCat("unable to find user ", user_.empty() ? "0" : user_));
    }
    for (const PasswdEntry& entry : ParsePasswd(text.ok() ? *text : "")) {
      bool match = user_.empty() ? entry.uid == 0 : uid_ ? entry.uid == *uid_ : entry.name == user_;
      if (match) {
        name_ = entry.name;
        found_.uid = static_cast<uint32_t>(entry.uid);
        found_.gid = static_cast<uint32_t>(entry.gid);
        return OkStatus();
      }
    }
    if (user_.empty()) return OkStatus();
    if (!uid_) {
      return UnknownError(
          StrCat("unable to find user ", user_, ": no matching entries in passwd file"));
    }
    found_.uid = static_cast<uint32_t>(*uid_);
    return OkStatus();
  }

  bool Matches(const GroupEntry& entry) const {
    if (group_.empty()) {
      return std::find(entry.members.begin(), entry.members.end(), name_) != entry.members.end();
    }
    return gid_ ? entry.gid == *gid_ : entry.name == group_;
  }

  Status FindGroups() {
    StatusOr<std::string> text = ReadUserFile(tree_, "/etc/group");
    if (!text.ok() && text.status().code() == StatusCode::kResourceExhausted) {
      return Annotate(text.status(), StrCat("unable to find groups for spec ", name_));
    }
    std::vector<uint32_t> gids;
    for (const GroupEntry& entry : ParseGroup(text.ok() ? *text : "")) {
      if (Matches(entry)) gids.push_back(static_cast<uint32_t>(entry.gid));
    }
    if (group_.empty()) {
      found_.additional_gids = std::move(gids);
    } else if (!gids.empty()) {
      found_.gid = gids[0];
    } else if (gid_) {
      found_.gid = static_cast<uint32_t>(*gid_);
    } else {
      return UnknownError(
          StrCat("unable to find group ", group_, ": no matching entries in group file"));
    }
    return OkStatus();
  }

  const RootedTree& tree_;
  std::string_view user_, group_;
  std::optional<int64_t> uid_, gid_;
  std::string name_;  // of the passwd entry
  ContainerUser found_;
};

}  // namespace

std::vector<PasswdEntry> ParsePasswd(std::string_view text) {
  std::vector<PasswdEntry> entries;
  EachLine(text, false, [&](const std::vector<std::string_view>& fields) {
    entries.push_back({std::string(Field(fields, 0)), Number(Field(fields, 2)),
                       Number(Field(fields, 3))});
  });
  return entries;
}

std::vector<GroupEntry> ParseGroup(std::string_view text) {
  std::vector<GroupEntry> entries;
  EachLine(text, true, [&](const std::vector<std::string_view>& fields) {
    GroupEntry entry{std::string(Field(fields, 0)), Number(Field(fields, 2)), {}};
    std::string_view list = Field(fields, 3);
    if (!list.empty()) {
      for (std::string_view member : StrSplit(list, ',')) entry.members.emplace_back(member);
    }
    entries.push_back(std::move(entry));
  });
  return entries;
}

StatusOr<std::string> ReadUserFile(const RootedTree& tree, std::string_view path) {
  ASSIGN_OR_RETURN(UniqueFd fd, tree.OpenAt(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) {
    return ErrnoStatus(errno, StrCat("stat ", path));
  }
  if (!S_ISREG(st.st_mode)) {
    return NotFoundError(StrCat(path, " is not a regular file"));
  }
  std::string text;
  char buffer[16384];
  for (;;) {
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("read ", path));
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kMaxUserFile) {
      return ResourceExhaustedError(StrCat(Quote(path), " exceeds ", kMaxUserFile, " bytes"));
    }
  }
}

StatusOr<ContainerUser> FindUser(const RootedTree& tree, std::string_view user) {
  const bool is_default = user.empty();
  if (std::optional<ContainerUser> plain = PlainPair(user)) {
    return *plain;
  }
  StatusOr<ContainerUser> found = Lookup(tree, is_default ? "0" : user).Run();
  if (!found.ok() && is_default) {
    return ContainerUser{};
  }
  return found;
}

}  // namespace kiln::worker::exec
