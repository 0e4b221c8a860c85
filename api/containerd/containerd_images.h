// ContainerdImages: puts built images into containerd's image store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/content/content_store.h"
#include "oci/descriptor.h"

namespace kiln::api {

// Thread-safe. Calls block.
class ContainerdImages {
 public:
  ContainerdImages(const std::string& address, const std::string& name_space);
  ~ContainerdImages();

  // Copies `blobs` (children first, the image itself last) from `source` into the content
  // store, with the labels that keep them as long as the image, and names the last `name`.
  // Blobs that are there already are not read.
  Status Store(const std::vector<oci::Descriptor>& blobs, cache::BlobSource& source,
               const std::string& name);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::api
