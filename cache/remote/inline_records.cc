// An image's own cache: records whose results are named by their place among its layers.
#include <algorithm>

#include "cache/remote/cache_document.h"

namespace kiln::cache {
namespace {

// Where in the image a blob of the cache is; -1 if nowhere.
class Places {
 public:
  Places(const CacheChains::Marshalled& cache, const std::vector<Digest>& layers) {
    for (size_t i = 0; i < layers.size(); ++i) {
      places_.try_emplace(layers[i], static_cast<int>(i));
    }
    for (const auto& [digest, blob] : cache.blobs) {
      if (places_.contains(digest)) continue;
      // The cache has the layer in another compression than the image.
      auto found = places_.find(blob.first.diff_id.digest);
      if (found != places_.end()) others_[digest] = found->second;
    }
  }
  int Of(const Digest& blob) const {
    if (auto found = places_.find(blob); found != places_.end()) return found->second;
    auto found = others_.find(blob);
    return found == others_.end() ? -1 : found->second;
  }

 private:
  std::map<Digest, int> places_;
  std::map<Digest, int> others_;
};

// The layers of a result as places, lowest first; empty if one is not in the image.
std::vector<int> ChainOf(const CacheConfig& config, int top, const Places& places) {
  std::vector<int> chain;
  for (int i = top; i != -1; i = config.layers[static_cast<size_t>(i)].parent) {
    int place = places.Of(config.layers[static_cast<size_t>(i)].blob);
    if (place < 0) return {};
    chain.push_back(place);
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

}  // namespace

StatusOr<std::string> InlineRecords(const CacheChains::Marshalled& cache,
                                    const std::vector<Digest>& layers) {
  Places places(cache, layers);
  std::vector<CacheConfig::Record> records = cache.config.records;
  bool any = false;
  for (CacheConfig::Record& record : records) {
    std::vector<CacheConfig::Result> in_order;
    for (const CacheConfig::Result& result : record.results) {
      std::vector<int> chain = ChainOf(cache.config, result.layer, places);
      if (chain.empty()) continue;
      any = true;
      bool ordered = true;
      for (size_t i = 0; i < chain.size(); ++i) ordered &= chain[i] == static_cast<int>(i);
      if (ordered) {
        in_order.push_back({static_cast<int>(chain.size()) - 1, result.created});
      } else {
        record.chains.push_back({std::move(chain), {}});
      }
    }
    record.results = std::move(in_order);
  }
  return any ? FormatInlineRecords(records) : std::string();
}

}  // namespace kiln::cache
