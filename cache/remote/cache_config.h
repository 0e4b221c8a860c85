// CacheConfig: the document that an exported cache consists of, besides its layers.
//
// Media type application/vnd.buildkit.cacheconfig.v0. Records are nodes of the
// key graph; layers are blobs with a parent each. Indexes point into the two lists.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "base/time.h"

namespace kiln::cache {

inline constexpr std::string_view kCacheConfigType = "application/vnd.buildkit.cacheconfig.v0";

struct CacheConfig {
  struct LayerNote {
    std::string media_type;
    Digest diff_id;
    int64_t size = 0;  // bytes
    Time created;
  };
  struct Layer {
    Digest blob;
    int parent = -1;   // -1: none
    std::optional<LayerNote> note;
  };
  struct Result {
    int layer = 0;     // the top one; its parents belong to it
    Time created;
  };
  struct Chain {
    std::vector<int> layers;  // all of them, lowest first
    Time created;
  };
  struct Input {
    std::string selector;
    int link = 0;      // record
  };
  struct Record {
    std::vector<Result> results;
    std::vector<Chain> chains;
    std::string digest;
    std::vector<std::vector<Input>> inputs;  // per input index, the records that may stand there
  };

  std::vector<Layer> layers;
  std::vector<Record> records;
};

// Refuses indexes that point nowhere, empty inputs, and loops, in the reference's words.
StatusOr<CacheConfig> ParseCacheConfig(std::string_view json);
// The value of "moby.buildkit.cache.v0" in an image config (records only).
StatusOr<std::vector<CacheConfig::Record>> ParseInlineRecords(std::string_view json);
// Checks what was put together from records and layers of different documents.
Status ValidateCacheConfig(const CacheConfig& config);

// As Go marshals it. Call SortCacheConfig first for a stable digest.
std::string FormatCacheConfig(const CacheConfig& config);
std::string FormatInlineRecords(const std::vector<CacheConfig::Record>& records);
// Layers by blob, records by digest; indexes follow.
void SortCacheConfig(CacheConfig* config);

}  // namespace kiln::cache
