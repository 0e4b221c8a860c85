// ImageResolver: image references to digests and configs, each asked for once per
// build however many stages and platforms name it.
#pragma once

#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/digest.h"
#include "base/platform.h"
#include "base/status.h"
#include "frontend/bridge.h"

namespace kiln::dockerfile {

struct ResolvedImage {
  std::string reference;  // perhaps changed by policy
  Digest digest;
  std::string config;     // raw JSON
  std::string moved_to;   // identifier, if a policy made the image something else
};

struct ImageQuery {
  std::optional<Platform> platform;
  std::string resolve_mode;
  std::string log_name;
  std::string oci_session;  // with a store: an image of the client's OCI layout
  std::string oci_store;
};

// Thread-safe; a second question waits for the answer to the first.
class ImageResolver {
 public:
  ImageResolver(frontend::Bridge& bridge, std::stop_token stop) : bridge_(bridge), stop_(stop) {}
  // Blocks. Errors are kept, too: "failed to resolve source metadata for …: …".
  StatusOr<ResolvedImage> Resolve(const std::string& reference, const ImageQuery& query);

 private:
  StatusOr<ResolvedImage> Ask(const std::string& reference, const ImageQuery& query);

  frontend::Bridge& bridge_;
  std::stop_token stop_;
  std::mutex mutex_;
  std::map<std::string, std::shared_future<StatusOr<ResolvedImage>>> answers_;
};

// The error of those who can use nothing but an image.
Status MovedError(const std::string& reference, const ResolvedImage& image);

}  // namespace kiln::dockerfile
