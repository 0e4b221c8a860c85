// Any bytes as the records of a foreign cache: what parses must survive being written
// and read again, and its graph must be one that can be asked.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cache/index/memory_key_index.h"
#include "cache/remote/imported_graph.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  auto config = kiln::cache::ParseCacheConfig(input);
  if (config.ok()) {
    kiln::cache::SortCacheConfig(&*config);
    if (!kiln::cache::ParseCacheConfig(kiln::cache::FormatCacheConfig(*config)).ok()) std::abort();
    kiln::cache::CacheDocument document{*std::move(config), {}};
    kiln::cache::MemoryKeyIndex keys;
    kiln::cache::ImportedGraph graph;
    graph.Add(document, &keys).IgnoreError();
    for (const auto& record : document.config.records) graph.Results(record.digest).IgnoreError();
  }
  auto records = kiln::cache::ParseInlineRecords(input);
  if (records.ok()) {
    kiln::cache::FormatInlineRecords(*records);
    kiln::cache::CacheConfig joined{{}, *std::move(records)};
    kiln::cache::ValidateCacheConfig(joined).IgnoreError();
  }
  return 0;
}
