// A shim is known by its arguments: containerd starts each with the container's namespace and id.
#include "api/containerd/lost_shims.h"

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cache/mount.h"

namespace kiln::api {
namespace {

std::string ProcPath(pid_t pid, std::string_view name) { return StrCat("/proc/", pid, "/", name); }

bool IsShimOf(pid_t pid, const std::string& name_space, const std::string& id) {
  const std::string text = ReadFile(ProcPath(pid, "cmdline")).value_or("");
  const std::vector<std::string_view> words = StrSplit(text, '\0');
  if (!BaseName(std::string(words[0])).starts_with("containerd-shim")) return false;
  auto has = [&](std::string_view flag, std::string_view value) {
    for (size_t i = 1; i + 1 < words.size(); ++i) {
      if (words[i] == flag && words[i + 1] == value) return true;
    }
    return false;
  };
  return has("-namespace", name_space) && has("-id", id);
}

// All below it; a shim adopts what its children leave.
void AddDescendants(pid_t pid, std::vector<pid_t>* found) {
  for (const std::string& thread : ListDir(ProcPath(pid, "task")).value_or({})) {
    const std::string text = ReadFile(ProcPath(pid, StrCat("task/", thread, "/children"))).value_or("");
    for (std::string_view word : StrSplit(text, ' ')) {
      int64_t child = 0;
      if (!ParseInt64(word, &child) || child <= 0) continue;
      found->push_back(static_cast<pid_t>(child));
      AddDescendants(static_cast<pid_t>(child), found);
    }
  }
}

void End(pid_t shim) {
  std::error_code gone;
  const std::string bundle = std::filesystem::read_symlink(ProcPath(shim, "cwd"), gone);
  ::kill(shim, SIGSTOP);  // it makes no more of them
  std::vector<pid_t> below;
  AddDescendants(shim, &below);
  for (pid_t pid : below) ::kill(pid, SIGKILL);
  ::kill(shim, SIGKILL);
  if (!gone) cache::UnmountAll(JoinPath(bundle, "rootfs")).IgnoreError();
}

}  // namespace

void EndLostShim(const std::string& name_space, const std::string& id) {
  for (const std::string& name : ListDir("/proc").value_or({})) {
    int64_t pid = 0;
    if (!ParseInt64(name, &pid) || pid <= 0) continue;
    if (!IsShimOf(static_cast<pid_t>(pid), name_space, id)) continue;
    log::Info(StrCat("ending the shim of ", id, ", which containerd has lost"));
    End(static_cast<pid_t>(pid));
  }
}

}  // namespace kiln::api
