// ContainerdImages: images in containerd's image store, those that were built and others.
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
  // Blobs that are there already are not read. With `snapshotter` the image is unpacked there.
  Status Store(const std::vector<oci::Descriptor>& blobs, cache::BlobSource& source,
               const std::string& name, const std::string& snapshotter = {});
  // What the name stands for, with its tag. NOT_FOUND.
  StatusOr<oci::Descriptor> Find(const std::string& name);
  // NOT_FOUND. This must outlive the reader.
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const Digest& digest);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::api
