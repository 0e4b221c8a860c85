#include "worker/exec/container_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "base/user_namespace.h"

namespace kiln::worker::exec {
namespace {

// mount(2) takes one page of options; the runtime adds some of its own.
constexpr size_t kMaxOptionBytes = 4096 - 512;

bool HasUpper(const cache::Mount& mount) {
  return std::any_of(mount.options.begin(), mount.options.end(),
                     [](const std::string& option) { return option.starts_with("upperdir="); });
}

bool IsReadonly(const cache::Mount& mount) {
  return std::find(mount.options.begin(), mount.options.end(), "ro") != mount.options.end();
}

cache::Mount Bind(std::string source, bool readonly) {
  cache::Mount mount{"bind", std::move(source), {"rbind"}};
  if (readonly) mount.options.emplace_back("ro");
  return mount;
}

bool SameMount(const cache::Mount& a, const cache::Mount& b) {
  return a.type == b.type && a.source == b.source && a.options == b.options;
}

// An empty file or folder to mount on, of the kind of what is mounted.
Status MakeTarget(const std::string& path, bool is_dir) {
  if (is_dir) {
    return MakeDirs(path, 0700);
  }
  return OpenFile(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600).ok()
             ? OkStatus()
             : ErrnoStatus(errno, StrCat("open ", path));
}

}  // namespace

ContainerMounts::~ContainerMounts() {
  for (auto place = mounted_.rbegin(); place != mounted_.rend(); ++place) {
    cache::UnmountAll(*place).IgnoreError();
  }
}

Status ContainerMounts::Add(const ContainerMount& mount) {
  if (!mount.source) {
    return InternalError(StrCat("mount ", mount.dest, " has no source"));
  }
  StatusOr<cache::MountLease> lease = mount.source();
  if (!lease.ok()) {
    return Annotate(lease.status(), StrCat("failed to mount ", mount.dest));
  }
  for (const cache::Mount& part : lease->mounts) {
    ASSIGN_OR_RETURN(cache::Mount whole, Materialise(part, mount.readonly));
    ASSIGN_OR_RETURN(cache::Mount selected, Select(whole, mount.selector));
    std::string dest = mount.dest.starts_with('/') ? mount.dest : CleanPath("/" + mount.dest);
    spec_.push_back({std::move(dest), std::move(selected)});
  }
  leases_.push_back(*std::move(lease));
  return OkStatus();
}

StatusOr<std::string> ContainerMounts::NewPlace() {
  RETURN_IF_ERROR(MakeDirs(dir_, 0700));
  return JoinPath(dir_, std::to_string(places_++));
}

StatusOr<cache::Mount> ContainerMounts::Materialise(const cache::Mount& mount, bool readonly) {
  const bool fuse = mount.type.starts_with("fuse");
  if (mount.type != "overlay" && !fuse) {
    return mount;
  }
  // Two overlays with one upper folder are undefined: a writable tree is mounted once,
  // here, and the container gets a bind of it.
  if (HasUpper(mount)) {
    ASSIGN_OR_RETURN(std::string place, NewPlace());
    RETURN_IF_ERROR(MakeDirs(place, 0700));
    RETURN_IF_ERROR(cache::MountAll({mount}, place));
    mounted_.push_back(place);
    return cache::Mount{"bind", place, {"rw", "rbind"}};
  }
  size_t size = 0;
  for (const std::string& option : mount.options) size += option.size() + 1;
  // The runtime mounts what the kernel has, and no more than a page of options.
  if (size < kMaxOptionBytes && !fuse) {
    cache::Mount view = mount;
    view.options.emplace_back("index=off");
    // A user namespace's overlay has none, and does not let us say so.
    if (!InUserNamespace()) view.options.emplace_back("redirect_dir=off");
    return view;
  }
  ASSIGN_OR_RETURN(std::string place, NewPlace());
  RETURN_IF_ERROR(MakeDirs(place, 0700));
  RETURN_IF_ERROR(cache::MountAll({mount}, place));
  mounted_.push_back(place);
  return Bind(place, readonly);
}

StatusOr<cache::Mount> ContainerMounts::Select(const cache::Mount& mount,
                                               const std::string& selector) {
  if (CleanPath("/" + selector) == "/") {
    return mount;
  }
  auto known = std::find_if(whole_.begin(), whole_.end(), [&](const auto& entry) {
    return SameMount(entry.first, mount);
  });
  if (known == whole_.end()) {
    ASSIGN_OR_RETURN(std::string place, NewPlace());
    RETURN_IF_ERROR(MakeDirs(place, 0700));
    RETURN_IF_ERROR(cache::MountAll({mount}, place));
    mounted_.push_back(place);
    whole_.emplace_back(mount, place);
    known = whole_.end() - 1;
  }
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(known->second));
  StatusOr<UniqueFd> chosen = tree.OpenAt(selector, O_PATH | O_CLOEXEC);
  if (!chosen.ok()) {
    return chosen.status();
  }
  struct stat st = {};
  if (::fstat(chosen->get(), &st) != 0) {
    return ErrnoStatus(errno, StrCat("stat ", selector));
  }
  ASSIGN_OR_RETURN(std::string place, NewPlace());
  RETURN_IF_ERROR(MakeTarget(place, S_ISDIR(st.st_mode)));
  // By descriptor: nobody can swap a part of the path between look-up and mount.
  std::string source = StrCat("/proc/self/fd/", chosen->get());
  if (::mount(source.c_str(), place.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return ErrnoStatus(errno, StrCat("mount ", selector));
  }
  mounted_.push_back(place);
  return Bind(place, IsReadonly(mount));
}

}  // namespace kiln::worker::exec
