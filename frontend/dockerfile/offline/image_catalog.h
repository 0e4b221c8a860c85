// ImageCatalog: which images exist when no registry is asked.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/platform.h"
#include "base/status.h"

namespace kiln::dockerfile {

// Immutable after loading; safe on every thread.
class ImageCatalog {
 public:
  struct Found {
    Digest digest;
    std::string config;  // JSON
  };
  // Every reference exists, with a config made for the platform.
  static ImageCatalog Any();
  // A JSON document as tests/golden/dockerfile/images.json. INVALID_ARGUMENT if malformed.
  static StatusOr<ImageCatalog> FromJson(std::string_view json);

  // NOT_FOUND "REF: not found" or "REF: no match for platform in manifest: not found".
  StatusOr<Found> Find(const std::string& reference, const Platform& platform) const;

 private:
  struct Image {
    Digest digest;
    bool single_manifest = false;
    std::vector<std::pair<Platform, std::string>> configs;
  };
  bool any_ = false;
  std::map<std::string, Image> images_;
};

}  // namespace kiln::dockerfile
