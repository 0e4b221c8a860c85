// Tries a mount, because no version number tells what a file system takes.
#include "cmd/buildkitd/snapshotter_probe.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "base/user_namespace.h"
#include "cache/mount.h"

namespace kiln::buildkitd {
Status OverlaySupported(const std::string& root) {
  RETURN_IF_ERROR(MakeDirs(root, 0700));
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(root, "multiple-lowerdir-check"));
  Status status;
  for (const char* name : {"lower1", "lower2", "upper", "work", "merged"}) {
    if (status.ok()) status = MakeDirs(JoinPath(dir, name));
  }
  if (status.ok()) {
    cache::Mount overlay{"overlay", "overlay",
                         {StrCat("lowerdir=", dir, "/lower2:", dir, "/lower1"),
                          StrCat("upperdir=", dir, "/upper"), StrCat("workdir=", dir, "/work")}};
    if (InUserNamespace()) overlay.options.emplace_back("userxattr");
    std::string merged = JoinPath(dir, "merged");
    status = Annotate(cache::MountAll({overlay}, merged), "failed to mount overlay");
    if (status.ok()) {
      cache::UnmountAll(merged).IgnoreError();
    } else if (InUserNamespace()) {
      status = Annotate(status, "in a user namespace, which takes Linux 5.11");
    }
  }
  RemoveAll(dir).IgnoreError();
  return status;
}

Status FuseOverlaySupported() {
  RETURN_IF_ERROR(LookPath("fuse-overlayfs").status());
  return OpenFile("/dev/fuse", O_RDWR | O_CLOEXEC).status();
}

std::string ProbeSnapshotter(const std::string& root) {
  std::string name = "overlayfs";
  if (Status overlay = OverlaySupported(root); !overlay.ok()) {
    log::Info(StrCat("auto snapshotter: overlayfs is not available for ", root,
                      ", trying fuse-overlayfs: ", overlay.message()));
    name = "fuse-overlayfs";
    if (Status fuse = FuseOverlaySupported(); !fuse.ok()) {
      log::Info(StrCat("auto snapshotter: fuse-overlayfs is not available for ", root,
                        ", falling back to native: ", fuse.message()));
      name = "native";
    }
  }
  log::Info(StrCat("auto snapshotter: using ", name));
  return name;
}

}  // namespace kiln::buildkitd
