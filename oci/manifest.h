// Manifest and Index: the two documents that tie an image together.
//
// Written byte for byte as the reference's Go structures are (a digest depends on
// it); read leniently as to unknown members, strictly as to types and digests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "oci/descriptor.h"

namespace kiln::oci {

struct Manifest {
  std::string media_type;
  std::string artifact_type = {};
  Descriptor config = {};
  std::vector<Descriptor> layers = {};
  std::optional<Descriptor> subject = {};
  std::map<std::string, std::string> annotations = {};
};

struct Index {
  std::string media_type;
  std::string artifact_type = {};
  std::vector<Descriptor> manifests = {};
  std::optional<Descriptor> subject = {};
  std::map<std::string, std::string> annotations = {};
};

// INVALID_ARGUMENT if `json` is not such a document.
StatusOr<Manifest> ParseManifest(std::string_view json);
StatusOr<Index> ParseIndex(std::string_view json);
StatusOr<Descriptor> ParseDescriptor(std::string_view json);
// The document's own "mediaType"; else guessed by its members. "" if it is neither.
std::string MediaTypeOf(std::string_view json);

// Compact. Images are stored indented: GoJsonIndent of these.
std::string ManifestJson(const Manifest& manifest);
std::string IndexJson(const Index& index);
std::string DescriptorJson(const Descriptor& descriptor);

// The best manifest of an index for a machine of that platform; null if there is none.
// Entries without a platform are none.
const Descriptor* ChooseManifest(const Index& index, const Platform& platform);

}  // namespace kiln::oci
