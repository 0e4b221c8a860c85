// What a record has in place of an unpacked tree: a folder in which its layer is mounted
// from afar.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "cache/afar/afar_layer.h"
#include "cache/afar/fuse_mounts.h"

namespace kiln::cache {

// A mounted layer. Nothing is left of it, in a file system or on disk, when it is dropped.
class AfarMount {
 public:
  AfarMount(TempDir dir, std::shared_ptr<AfarLayer> layer, std::unique_ptr<FuseMount> mount)
      : dir_(std::move(dir)), layer_(std::move(layer)), mount_(std::move(mount)) {}
  const std::string& path() const { return dir_.path(); }
  int64_t bytes() const { return layer_->bytes(); }  // on disk

 private:
  TempDir dir_;
  std::shared_ptr<AfarLayer> layer_;
  std::unique_ptr<FuseMount> mount_;  // goes first
};

// Thread-safe.
class AfarMounts {
 public:
  // Folders are made in `temp_dir`, which whoever opens it the next time clears of mounts and
  // files. Chunks of all layers take no more than `max_bytes` on disk. Fails where layers cannot
  // be mounted.
  static StatusOr<std::unique_ptr<AfarMounts>> Open(std::string temp_dir, int64_t max_bytes);
  // `lowest`: there are no layers below it. Fails with the reason why it has to be unpacked.
  StatusOr<std::shared_ptr<AfarMount>> Mount(const oci::Descriptor& blob,
                                             std::shared_ptr<BlobRanges> ranges, bool lowest,
                                             std::stop_token stop);

 private:
  AfarMounts(std::string temp_dir, std::shared_ptr<ChunkSpace> space,
             std::unique_ptr<FuseMounts> fuse)
      : temp_dir_(std::move(temp_dir)), space_(std::move(space)), fuse_(std::move(fuse)) {}
  const std::string temp_dir_;
  const std::shared_ptr<ChunkSpace> space_;
  const std::unique_ptr<FuseMounts> fuse_;
};

}  // namespace kiln::cache
