#include "cache/afar/afar_mount.h"

#include "base/strings.h"

namespace kiln::cache {

StatusOr<std::unique_ptr<AfarMounts>> AfarMounts::Open(std::string temp_dir, int64_t max_bytes) {
  ASSIGN_OR_RETURN(std::unique_ptr<FuseMounts> fuse, OpenFuseMounts());
  return std::unique_ptr<AfarMounts>(new AfarMounts(
      std::move(temp_dir), std::make_shared<ChunkSpace>(max_bytes), std::move(fuse)));
}

StatusOr<std::shared_ptr<AfarMount>> AfarMounts::Mount(const oci::Descriptor& blob,
                                                       std::shared_ptr<BlobRanges> ranges,
                                                       bool lowest, std::stop_token stop) {
  ASSIGN_OR_RETURN(std::shared_ptr<AfarLayer> layer,
                   AfarLayer::Open(blob, std::move(ranges), temp_dir_, space_, std::move(stop)));
  if (lowest && layer->tree().has_whiteouts()) {
    return UnimplementedError("it hides files, and there is no layer below it");
  }
  if (!lowest && layer->tree().has_implied_folders()) {
    return UnimplementedError("folders of it are as in the layers below");
  }
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir_, "afar-"));
  TempDir dir(std::move(path));
  ASSIGN_OR_RETURN(std::unique_ptr<FuseMount> mount, fuse_->Mount(layer, dir.path()));
  return std::make_shared<AfarMount>(std::move(dir), std::move(layer), std::move(mount));
}

}  // namespace kiln::cache
