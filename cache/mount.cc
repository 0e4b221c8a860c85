// mount(2) where it can say it: steps see its form of the options in their mount table.
// Hundreds of lower folders do not fit into its page of options and go through the new
// mount API, where the kernel has "lowerdir+".
#include "cache/mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "base/unique_fd.h"
#include "base/user_namespace.h"

namespace kiln::cache {
namespace {

struct FlagName {
  const char* name;
  unsigned long flag;  // of mount(2)
  uint64_t attribute;  // of fsmount(2)
};
constexpr FlagName kFlags[] = {
    {"ro", MS_RDONLY, MOUNT_ATTR_RDONLY},    {"nosuid", MS_NOSUID, MOUNT_ATTR_NOSUID},
    {"nodev", MS_NODEV, MOUNT_ATTR_NODEV},   {"noexec", MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    {"noatime", MS_NOATIME, MOUNT_ATTR_NOATIME},
    {"nodiratime", MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
    {"bind", MS_BIND, 0},                    {"rbind", MS_BIND | MS_REC, 0},
    {"rw", 0, 0},
};

const FlagName* FindFlag(std::string_view option) {
  for (const FlagName& flag : kFlags) {
    if (option == flag.name) return &flag;
  }
  return nullptr;
}

Status Fail(const Mount& mount, const std::string& target, std::string_view call) {
  return ErrnoStatus(errno, StrCat("mount ", mount.type, " at ", target, " (", call, ")"));
}

// The folders of "a:b:c"; a backslash protects a colon.
std::vector<std::string> SplitLowers(std::string_view text) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      parts.back() += text[++i];
    } else if (text[i] == ':') {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  return parts;
}

// EOPNOTSUPP: this kernel cannot add lower folders one by one.
Status ConfigureOverlay(int fs, const Mount& mount, const std::string& target,
                        uint64_t* attributes) {
  for (const std::string& option : mount.options) {
    std::string_view key = option;
    std::string_view value;
    bool has_value = StrCut(option, "=", &key, &value);
    if (const FlagName* flag = FindFlag(option); flag != nullptr) {
      *attributes |= flag->attribute;
    } else if (key == "lowerdir") {
      for (const std::string& lower : SplitLowers(value)) {
        if (::fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", lower.c_str(), 0) != 0) {
          return UnimplementedError("lowerdir+");
        }
      }
    } else {
      std::string name(key);
      std::string text(value);
      int failed = has_value
                       ? ::fsconfig(fs, FSCONFIG_SET_STRING, name.c_str(), text.c_str(), 0)
                       : ::fsconfig(fs, FSCONFIG_SET_FLAG, name.c_str(), nullptr, 0);
      if (failed != 0) return Fail(mount, target, StrCat("option ", option));
    }
  }
  return OkStatus();
}

Status MountOverlayNew(const Mount& mount, const std::string& target) {
  UniqueFd fs(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!fs.valid()) return UnimplementedError("fsopen");
  uint64_t attributes = 0;
  ::fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", "overlay", 0);
  RETURN_IF_ERROR(ConfigureOverlay(fs.get(), mount, target, &attributes));
  if (::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Fail(mount, target, "create");
  }
  UniqueFd tree(::fsmount(fs.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!tree.valid()) return Fail(mount, target, "fsmount");
  if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return Fail(mount, target, "move_mount");
  }
  return OkStatus();
}

// The longest folder (with its slash) that all lower paths share.
std::string CommonFolder(const std::vector<std::string>& paths) {
  std::string common = paths.empty() ? "" : paths.front();
  for (const std::string& path : paths) {
    size_t same = 0;
    while (same < common.size() && same < path.size() && common[same] == path[same]) ++same;
    common.resize(same);
  }
  size_t slash = common.rfind('/');
  return slash == std::string::npos ? "" : common.substr(0, slash + 1);
}

Status MountClassic(const Mount& mount, const std::string& target, const std::string& folder) {
  unsigned long flags = 0;
  std::vector<std::string> rest;
  for (const std::string& option : mount.options) {
    if (const FlagName* flag = FindFlag(option); flag != nullptr) {
      flags |= flag->flag;
    } else if (option.starts_with("lowerdir=") && !folder.empty()) {
      std::vector<std::string> lowers = SplitLowers(std::string_view(option).substr(9));
      for (std::string& lower : lowers) {
        lower = ReplaceAll(ReplaceAll(lower.substr(folder.size()), "\\", "\\\\"), ":", "\\:");
      }
      rest.push_back(StrCat("lowerdir=", StrJoin(lowers, ":")));
    } else {
      rest.push_back(option);
    }
  }
  std::string text = StrJoin(rest, ",");
  if (::mount(mount.source.c_str(), target.c_str(), mount.type.c_str(),
              flags, text.empty() ? nullptr : text.c_str()) != 0) {
    return Fail(mount, target, "mount");
  }
  // The first call of a bind mount ignores every other flag.
  const bool again =
      (flags & MS_BIND) != 0 && (flags & ~static_cast<unsigned long>(MS_BIND | MS_REC)) != 0;
  if (again && InUserNamespace()) {
    for (const std::string& option : LockedMountOptions(target)) flags |= FindFlag(option)->flag;
  }
  if (again &&
      ::mount("", target.c_str(), "", flags | MS_REMOUNT, nullptr) != 0) {
    Status failed = Fail(mount, target, "remount");
    ::umount2(target.c_str(), MNT_DETACH);
    return failed;
  }
  return OkStatus();
}

// Shortens the option string by making the lower paths relative. The working
// folder belongs to the process, so a thread of its own gives up sharing it.
Status MountOverlayClassic(const Mount& mount, const std::string& target) {
  std::vector<std::string> lowers;
  for (const std::string& option : mount.options) {
    if (option.starts_with("lowerdir=")) lowers = SplitLowers(std::string_view(option).substr(9));
  }
  std::string folder = CommonFolder(lowers);
  Status status;
  std::thread([&] {
    bool moved = !folder.empty() && ::unshare(CLONE_FS) == 0 && ::chdir(folder.c_str()) == 0;
    status = MountClassic(mount, target, moved ? folder : "");
  }).join();
  return status;
}

Status MountFuseOverlay(const Mount& mount, const std::string& target) {
  ProcessOptions options;
  ASSIGN_OR_RETURN(std::string program, LookPath("fuse-overlayfs"));
  options.argv = {program, "-o", StrJoin(mount.options, ","), target};
  ASSIGN_OR_RETURN(CommandOutput output, RunCommand(std::move(options), "", {}));
  if (output.exit_code == 0) return OkStatus();
  return UnknownError(StrCat("mount fuse-overlayfs at ", target, ": ", TrimSpace(output.err)));
}

// Whether mount(2) can take the options: one page, commas in between.
bool FitsClassic(const Mount& mount) {
  constexpr size_t kPage = 4096;
  size_t bytes = 1;
  for (const std::string& option : mount.options) {
    if (Contains(option, ",")) return false;
    bytes += option.size() + 1;
  }
  return bytes <= kPage;
}

Status MountOne(const Mount& mount, const std::string& target) {
  if (mount.type == "overlay") {
    if (FitsClassic(mount)) return MountClassic(mount, target, "");
    Status status = MountOverlayNew(mount, target);
    return status.code() == StatusCode::kUnimplemented ? MountOverlayClassic(mount, target)
                                                       : status;
  }
  if (mount.type.starts_with("fuse")) return MountFuseOverlay(mount, target);
  return MountClassic(mount, target, "");
}

// "\040" and the like in /proc/self/mountinfo.
std::string UnescapeMountInfo(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

StatusOr<bool> UnmountOne(const std::string& target) {
  if (::umount2(target.c_str(), UMOUNT_NOFOLLOW) == 0) return true;
  if (errno == EBUSY && ::umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return true;
  if (errno == EINVAL || errno == ENOENT) return false;  // not a mount point
  return ErrnoStatus(errno, StrCat("unmount ", target));
}

}  // namespace

Status MountAll(const std::vector<Mount>& mounts, const std::string& target) {
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (Status status = MountOne(mounts[i], target); !status.ok()) {
      if (i > 0) UnmountAll(target).IgnoreError();
      return status;
    }
  }
  return OkStatus();
}

Status UnmountAll(const std::string& target) {
  bool any = false;
  for (;;) {
    ASSIGN_OR_RETURN(bool more, UnmountOne(target));
    if (!more) break;
    any = true;
  }
  if (any) return OkStatus();
  StatusOr<std::string> table = ReadFile("/proc/self/mountinfo");
  if (!table.ok()) return table.status();
  std::vector<std::string> under;
  std::string prefix = target + "/";
  for (std::string_view line : StrSplit(*table, '\n')) {
    std::vector<std::string_view> fields = StrSplitN(line, ' ', 6);
    if (fields.size() < 6) continue;
    if (std::string point = UnescapeMountInfo(fields[4]); point.starts_with(prefix)) {
      under.push_back(std::move(point));
    }
  }
  std::sort(under.begin(), under.end(), std::greater<>());  // deepest first
  for (const std::string& point : under) RETURN_IF_ERROR(UnmountOne(point).status());
  return OkStatus();
}

StatusOr<LocalMount> LocalMount::Open(MountLease mounts, const std::string& temp_dir) {
  LocalMount local;
  local.lease_ = std::move(mounts);
  const std::vector<Mount>& list = local.lease_.mounts;
  if (list.size() == 1 && (list[0].type == "bind" || list[0].type == "rbind")) {
    local.path_ = list[0].source;
    return local;
  }
  ASSIGN_OR_RETURN(local.path_, MakeTempDir(temp_dir, "mount-"));
  if (Status status = MountAll(list, local.path_); !status.ok()) {
    ::rmdir(local.path_.c_str());
    return status;
  }
  local.mounted_ = true;
  return local;
}

LocalMount::LocalMount(LocalMount&& other) noexcept
    : lease_(std::move(other.lease_)),
      path_(std::exchange(other.path_, {})),
      mounted_(std::exchange(other.mounted_, false)) {}

LocalMount& LocalMount::operator=(LocalMount&& other) noexcept {
  std::swap(lease_, other.lease_);
  std::swap(path_, other.path_);
  std::swap(mounted_, other.mounted_);
  return *this;
}

LocalMount::~LocalMount() {
  if (!mounted_) return;
  UnmountAll(path_).IgnoreError();
  ::rmdir(path_.c_str());  // never more: if the mount is still there, so are its files
}

}  // namespace kiln::cache
