// What the attributes of an output mean, shared by the exporters.
//
// Parsing only; error texts are the reference's. Unknown attributes are left over
// and become metadata of the result, as in the reference.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "cache/ref.h"
#include "worker/exporter/exporter.h"

namespace kiln::worker {

using Attrs = std::map<std::string, std::string>;

struct Annotations {
  Attrs index, index_descriptor, manifest, manifest_descriptor;
};
// By platform text, "" for all platforms.
using AnnotationGroup = std::map<std::string, Annotations>;

// Moves the annotation keys of `attrs` into `group`.
Status TakeAnnotations(Attrs& attrs, AnnotationGroup& group);
// Those of one platform (null: of none), index ones of all.
Annotations AnnotationsFor(const AnnotationGroup& group, const Platform* platform);

// Seconds. Outer: whether anything was said; inner: unset if it was said to be off.
using EpochOption = std::optional<std::optional<int64_t>>;
Status TakeEpoch(Attrs& attrs, EpochOption& epoch);
// What the frontend said, for a platform id ("" for the build as a whole).
StatusOr<std::optional<int64_t>> SourceEpoch(const Attrs& metadata, std::string_view platform_id);

struct ImageOptions {
  std::string name;
  cache::CompressionOptions compression;
  std::optional<bool> oci_types;
  std::optional<bool> oci_artifact;
  AnnotationGroup annotations;
  EpochOption epoch;
  bool force_inline_attestations = false;
  bool rewrite_timestamp = false;
  bool prefer_nondistributable = false;
  std::optional<Attrs> metadata = {};  // instead of the source's own
};
// Takes what it knows from `attrs`; `defaults` are for what they do not say.
StatusOr<ImageOptions> TakeImageOptions(Attrs& attrs, ImageOptions defaults = {});
// Fills in what depends on the build, and checks for conflicts.
Status CompleteImageOptions(ImageOptions& options, bool default_oci_types, int compatibility);

// compression, force-compression, compression-level. Leaves `options` alone if absent.
Status ParseCompression(const Attrs& attrs, cache::CompressionOptions& options);

// "" counts as true.
Status ParseFlag(std::string_view key, std::string_view value, bool* flag);

struct ExportPlatform {
  std::string id;
  Platform platform;
};
// From "refs.platforms", else from the image config, else this machine's.
StatusOr<std::vector<ExportPlatform>> ParsePlatforms(const Attrs& metadata);
// The ref of a platform; null for scratch or if there is none (then `found` is false).
const cache::Ref* FindRef(const ExportSource& source, const std::string& id, bool* found);
// metadata["key/id"], else metadata["key"], else "".
std::string PlatformValue(const Attrs& metadata, std::string_view key, std::string_view id);

}  // namespace kiln::worker
