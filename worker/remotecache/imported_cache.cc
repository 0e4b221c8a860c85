#include "worker/remotecache/imported_cache.h"

namespace kiln::worker {

ImportedCache::ImportedCache(CacheOrigin origin, cache::RefStore& refs)
    : origin_(std::move(origin)), refs_(refs) {}

Status ImportedCache::Open(const std::vector<std::string>& sessions) {
  std::lock_guard lock(mutex_);
  if (opened_) return *opened_;
  opened_ = [&]() -> Status {
    ASSIGN_OR_RETURN(CacheOrigin::Opened opened, origin_.open(sessions));
    blobs_ = std::move(opened.blobs);
    place_ = std::move(opened.place);
    ASSIGN_OR_RETURN(std::vector<cache::CacheDocument> documents,
                     cache::ReadCacheDocuments(*blobs_, opened.root, origin_.on_type));
    for (const cache::CacheDocument& document : documents) {
      RETURN_IF_ERROR(graph_.Add(document, &keys_));
      for (const auto& [digest, layer] : document.layers) listed_.insert(digest);
    }
    return OkStatus();
  }();
  origin_.on_type = {};  // may name what ends with the build
  origin_.open = {};
  return *opened_;
}

StatusOr<std::vector<solver::CacheSource::Loaded>> ImportedCache::Load(
    std::string_view result_id, solver::JobContext&) {
  ASSIGN_OR_RETURN(std::vector<cache::ImportedGraph::Found> found, graph_.Results(result_id));
  // The longest chain comes first, and every other result is a prefix of it.
  std::vector<cache::Ref> chain;
  for (const cache::Layer& layer : found[0].layers) {
    cache::Ref none;
    cache::RecordOptions options;
    options.description = layer.description;
    options.created = layer.created;
    const cache::Ref& parent = chain.empty() ? none : chain.back();
    ASSIGN_OR_RETURN(cache::Ref ref, refs_.GetByBlob(layer, parent, options, blobs_));
    chain.push_back(std::move(ref));
  }
  std::vector<Loaded> loaded;
  for (const cache::ImportedGraph::Found& entry : found) {
    loaded.push_back({entry.key, chain[entry.layers.size() - 1].Clone(), entry.created});
  }
  return loaded;
}

}  // namespace kiln::worker
