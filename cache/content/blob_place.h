// BlobPlace: what a blob source may know beside its blobs: the repository they lie in.
#pragma once

#include <string>

#include "cache/content/content_store.h"

namespace kiln::cache {

// An addition to BlobSource; a registry can take a blob from a repository that it has.
class BlobPlace {
 public:
  virtual ~BlobPlace() = default;
  // "registry.example/path"; "" if it is none, or nobody knows.
  virtual std::string RepositoryOf(const oci::Descriptor& blob) = 0;
};

// The same of any source.
inline std::string RepositoryOf(BlobSource& source, const oci::Descriptor& blob) {
  auto* place = dynamic_cast<BlobPlace*>(&source);
  return place == nullptr ? "" : place->RepositoryOf(blob);
}

}  // namespace kiln::cache
