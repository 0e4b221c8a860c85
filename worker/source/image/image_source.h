// Sources "docker-image" and "oci-layout": images as trees, and their configs for
// frontends.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/platform.h"
#include "cache/ref_store.h"
#include "worker/client_session.h"
#include "worker/source/image/image_pull.h"
#include "worker/source/source.h"

namespace kiln::worker {

// What an image is asked for with.
struct ImageQuery {
  std::string scheme = "docker-image";     // or "oci-layout"
  std::string ref = {};                    // canonical, with tag or digest
  std::string resolve_mode = {};           // "default", "pull", "local"
  std::string store = {}, session = {};    // oci-layout
  std::vector<std::string> sessions = {};  // those of the builds, for credentials
};
// Makes the origin for a query on a registry. See worker/source/image/registry_origin.h.
using RegistryOriginFn = std::function<std::shared_ptr<ImageOrigin>(const ImageQuery&)>;

struct ImageSourceOptions {
  cache::RefStore* refs = nullptr;      // must outlive the source
  SessionTable* sessions = nullptr;     // must outlive the source
  RegistryOriginFn registry = {};       // null: docker-image is UNIMPLEMENTED
};

// Answers frontends: digest and config of an image. Thread-safe, blocking. Asks the
// registry each time, since only it knows who may see what; bytes come from the store.
class ImageResolver {
 public:
  explicit ImageResolver(ImageSourceOptions options) : options_(std::move(options)) {}
  struct Answer {
    Digest digest;       // of manifest or index
    std::string config;  // raw JSON
  };
  StatusOr<Answer> ResolveConfig(const ImageQuery& query, const std::optional<Platform>& platform);
  StatusOr<PulledImage> Pull(const ImageQuery& query, const Platform& platform);
  // UNIMPLEMENTED without registries.
  StatusOr<std::shared_ptr<ImageOrigin>> OriginFor(const ImageQuery& query);

 private:
  ImageSourceOptions options_;
};

std::unique_ptr<Source> NewImageSource(ImageSourceOptions options);

// "docker-image+blob" and "oci-layout+blob": one blob of a repository or layout as the
// only file of a tree. `temp_dir` is for mounts. Follows the reference's
// source/containerblob.
std::unique_ptr<Source> NewBlobSource(ImageSourceOptions options, std::string temp_dir);

// A client's OCI layout; ref must have a digest.
std::shared_ptr<ImageOrigin> NewLayoutOrigin(SessionTable& sessions, const ImageQuery& query);

}  // namespace kiln::worker
