// Reference: the name of an image, normalised as docker does it
// ("alpine" → docker.io/library/alpine). Grammar and error texts are those of
// the distribution project's reference library.
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/status.h"

namespace kiln::oci {

// A plain value; always valid if it came from ParseReference.
struct Reference {
  std::string domain;  // "docker.io", "localhost:5000"
  std::string path;    // "library/alpine"
  std::string tag;     // may be empty
  Digest digest;       // may be empty

  // "docker.io/library/alpine": without tag and digest.
  std::string Name() const;
  // With tag and digest, if any: the canonical text.
  std::string Text() const;
  // Short form: without docker.io and library/.
  std::string Familiar() const;
  bool name_only() const { return tag.empty() && digest.empty(); }

  bool operator==(const Reference&) const = default;
};

// UNKNOWN "invalid reference format", "…must be lowercase" and the like.
StatusOr<Reference> ParseReference(std::string_view text);
// Adds the tag "latest" to a bare name.
Reference WithDefaultTag(Reference reference);

}  // namespace kiln::oci
