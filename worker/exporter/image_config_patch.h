// The config of an exported image: history and layers brought into line.
//
// Pure functions on JSON text and times; blobs and refs are image_commit.cc's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "oci/image_config.h"

namespace kiln::worker {

// One layer as the cache knows it.
struct LayerFacts {
  std::string diff_id;
  std::string description = {};
  Time created = {};
};

struct ConfigPatch {
  std::vector<LayerFacts> layers = {};
  std::vector<LayerFacts> chain = {};     // what is known of the layers, may be shorter or longer
  std::optional<int64_t> epoch = {};      // seconds
  std::string base_config = {};           // JSON of the base image, "" if there is none
  std::string inline_cache = {};          // bytes for "moby.buildkit.cache.v0", "" if none
};

// The config as it is stored. `config` is the frontend's, "" for the default one.
StatusOr<std::string> PatchImageConfig(std::string_view config, const ConfigPatch& patch);
// What a result without a config gets.
std::string DefaultImageConfig();
// An RFC 3339 time as Go writes it: no zeros at the end of the fraction, offset kept.
std::string NormalizeTimeText(std::string_view text);

}  // namespace kiln::worker
