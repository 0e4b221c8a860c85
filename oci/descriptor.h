// Descriptor: media type, digest and size of a blob (OCI image-spec).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/platform.h"

namespace kiln::oci {

struct Descriptor {
  std::string media_type = {};
  Digest digest = {};
  int64_t size = 0;  // bytes
  std::map<std::string, std::string> annotations = {};
  std::optional<Platform> platform = {};
  std::vector<std::string> urls = {};
  std::string data = {};           // embedded content, raw bytes
  std::string artifact_type = {};

  bool operator==(const Descriptor&) const = default;
};

// Media types. Docker's and OCI's stand for the same things.
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kDockerLayerZstd =
    "application/vnd.docker.image.rootfs.diff.tar.zstd";

bool IsIndexType(std::string_view media_type);
bool IsManifestType(std::string_view media_type);
bool IsLayerType(std::string_view media_type);

enum class Compression { kUncompressed, kGzip, kZstd, kEstargz, kUnknown };
Compression CompressionOf(std::string_view layer_media_type);

}  // namespace kiln::oci
