#include "cmd/buildkitd/rootless_check.h"

#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

// Images own files by ids up to this one.
constexpr int64_t kIdsOfImages = 65536;

// A number in a file of /proc; -1 where the kernel does not have it.
int64_t Knob(const std::string& root, std::string_view path) {
  StatusOr<std::string> text = ReadFile(JoinPath(root, path));
  int64_t value = -1;
  if (text.ok()) ParseInt64(TrimSpace(*text), &value);
  return value;
}

std::string FindProgram(const RootlessUser& user, std::string_view name) {
  for (std::string_view dir : StrSplit(user.path, ':')) {
    if (dir.empty()) continue;
    std::string path = JoinPath(JoinPath(user.root, dir), name);
    struct stat st = {};
    if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0) return path;
  }
  return "";
}

// newuidmap and newgidmap act with root's rights or with a capability.
void CheckMapper(const RootlessUser& user, std::string_view name, std::vector<std::string>* missing) {
  const std::string path = FindProgram(user, name);
  if (path.empty()) {
    missing->push_back(StrCat(name, " is not installed (Debian has it in the package uidmap)"));
    return;
  }
  struct stat st = {};
  ::stat(path.c_str(), &st);
  const bool setuid_root = (st.st_mode & S_ISUID) != 0;
  if (!setuid_root && ::getxattr(path.c_str(), "security.capability", nullptr, 0) <= 0) {
    missing->push_back(StrCat(path, " is neither setuid root nor has it file capabilities (chmod u+s ", path, ")"));
  }
}

// Ids that a file of lines "user:first:count" gives to the user.
int64_t SubordinateIds(const RootlessUser& user, const std::string& file) {
  int64_t total = 0;
  const std::string text = ReadFile(JoinPath(user.root, file)).value_or("");
  for (std::string_view line : StrSplit(text, '\n')) {
    std::vector<std::string_view> parts = StrSplitN(line, ':', 3);
    int64_t count = 0;
    if (parts.size() < 3 || !ParseInt64(TrimSpace(parts[2]), &count)) continue;
    if (parts[0] == user.name || parts[0] == std::to_string(user.uid)) total += count;
  }
  return total;
}

void CheckRange(const RootlessUser& user, const std::string& file, std::string_view option,
                std::vector<std::string>* missing) {
  const int64_t ids = SubordinateIds(user, file);
  if (ids >= kIdsOfImages) return;
  missing->push_back(StrCat(file, ids == 0 ? " has no range" : StrCat(" has only ", ids, " ids"),
                            " for user ", user.name, " (usermod ", option, " 100000-165535 ",
                            user.name, ")"));
}

// Ids of the namespace, by /proc/self/uid_map or gid_map.
int64_t MappedIds(const std::string& root, std::string_view file) {
  int64_t total = 0;
  const std::string text = ReadFile(JoinPath(root, file)).value_or("");
  for (std::string_view line : StrSplit(text, '\n')) {
    size_t space = TrimSpace(line).rfind(' ');
    int64_t count = 0;
    if (space == std::string_view::npos) continue;
    if (ParseInt64(TrimSpace(TrimSpace(line).substr(space)), &count)) total += count;
  }
  return total;
}

// The errno of a procfs in a PID namespace of its own, as each step will want one.
int TryProcessSandbox() {
  // A fork that is in the namespaces from the start.
  long child = ::syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, nullptr, nullptr,
                         nullptr, nullptr);
  if (child < 0) return errno;
  if (child == 0) {
    ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    int failed = ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr);
    ::_exit(failed == 0 ? 0 : errno);
  }
  int state = 0;
  while (::waitpid(static_cast<pid_t>(child), &state, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : EINVAL;
}

}  // namespace

RootlessUser CurrentRootlessUser() {
  RootlessUser user;
  user.uid = ::geteuid();
  const passwd* entry = ::getpwuid(user.uid);
  user.name = entry == nullptr ? std::to_string(user.uid) : entry->pw_name;
  const char* path = std::getenv("PATH");
  user.path = path == nullptr ? "" : path;
  return user;
}

std::vector<std::string> MissingForNamespace(const RootlessUser& user) {
  std::vector<std::string> missing;
  if (Knob(user.root, "proc/sys/user/max_user_namespaces") == -1) {
    missing.emplace_back("the kernel has no user namespaces (CONFIG_USER_NS)");
  }
  if (Knob(user.root, "proc/sys/user/max_user_namespaces") == 0) {
    missing.emplace_back("user.max_user_namespaces is 0 (sysctl -w user.max_user_namespaces=28633)");
  }
  if (Knob(user.root, "proc/sys/kernel/unprivileged_userns_clone") == 0) {
    missing.emplace_back(
        "kernel.unprivileged_userns_clone is 0 (sysctl -w kernel.unprivileged_userns_clone=1)");
  }
  if (Knob(user.root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1) {
    missing.emplace_back(
        "kernel.apparmor_restrict_unprivileged_userns is 1: rootlesskit needs an AppArmor profile "
        "with the rule userns, or the knob set to 0");
  }
  CheckMapper(user, "newuidmap", &missing);
  CheckMapper(user, "newgidmap", &missing);
  CheckRange(user, "/etc/subuid", "--add-subuids", &missing);
  CheckRange(user, "/etc/subgid", "--add-subgids", &missing);
  if (FindProgram(user, "rootlesskit").empty()) missing.emplace_back("rootlesskit is not installed");
  return missing;
}

std::vector<std::string> MissingInNamespace(const std::string& root, bool process_sandbox) {
  std::vector<std::string> missing;
  for (const auto& [what, file] : {std::pair("user", "uid"), std::pair("group", "gid")}) {
    const int64_t ids = MappedIds(root, StrCat("proc/self/", file, "_map"));
    if (ids >= kIdsOfImages) continue;
    missing.push_back(StrCat("only ", ids, " ", what, " id", ids == 1 ? " is" : "s are",
                             " mapped, so files of other owners cannot be unpacked (a range in /etc/sub",
                             file, " and new", file, "map give more)"));
  }
  if (TrimSpace(ReadFile(JoinPath(root, "proc/self/setgroups")).value_or("")) == "deny") {
    missing.emplace_back("setgroups is denied, so steps cannot have groups (newgidmap allows it)");
  }
  for (const char* kind : {"mnt", "pid", "ipc", "uts"}) {
    if (Knob(root, StrCat("proc/sys/user/max_", kind, "_namespaces")) == 0) {
      missing.push_back(StrCat("user.max_", kind, "_namespaces is 0"));
    }
  }
  if (const int error = process_sandbox ? TryProcessSandbox() : 0; error != 0) {
    missing.push_back(StrCat("a procfs in a new PID namespace: ", std::strerror(error),
                             " (a container around the daemon masks /proc or filters clone and mount: "
                             "run it with systempaths=unconfined and seccomp=unconfined, or the daemon "
                             "with --oci-worker-no-process-sandbox)"));
  }
  return missing;
}

}  // namespace kiln::buildkitd
