// The plan of a cache export: a snapshot of the keys that lead to a result.
#include <unordered_map>

#include "solver/build_graph.h"

namespace kiln::solver {
namespace {

using Places = std::unordered_map<const CacheKey*, size_t>;

// Keys that `key` stands on and that have no place yet.
std::vector<CacheKeyPtr> Unplaced(const CacheKey& key, const Places& places) {
  std::vector<CacheKeyPtr> missing;
  for (const auto& dep : key.deps()) {
    for (const KeyWithSelector& alternative : dep) {
      if (!places.contains(alternative.key.get())) missing.push_back(alternative.key);
    }
  }
  for (const CacheKeyPtr& also : key.also()) {
    if (!places.contains(also.get())) missing.push_back(also);
  }
  return missing;
}

ExportPlan::Node NodeOf(const CacheKey& key, const Places& places) {
  ExportPlan::Node node;
  node.record = RootKey(key.digest(), key.output());
  node.vertex = key.vertex();
  node.output = key.output();
  for (const auto& dep : key.deps()) {
    std::vector<ExportPlan::Dep>& deps = node.deps.emplace_back();
    for (const KeyWithSelector& alternative : dep) {
      deps.push_back({places.at(alternative.key.get()), alternative.selector});
    }
  }
  for (const CacheKeyPtr& also : key.also()) node.also.push_back(places.at(also.get()));
  node.records = key.records();
  node.of_result = key.of_result();
  node.export_cache = key.export_cache();
  return node;
}

}  // namespace

ExportPlan BuildGraph::PlanExport(const std::vector<CacheKeyPtr>& keys) const {
  std::unordered_map<const KeyTable*, std::shared_ptr<KeyTable>> tables = {{local_.get(), local_}};
  for (const auto& [id, build] : builds_) {
    for (const auto& entry : build.sources) {
      if (entry->table != nullptr) tables.emplace(entry->table.get(), entry->table);
    }
  }
  ExportPlan plan;
  Places places;
  std::vector<CacheKeyPtr> open(keys.rbegin(), keys.rend());
  while (!open.empty()) {
    CacheKeyPtr key = open.back();
    if (places.contains(key.get())) {
      open.pop_back();
      continue;
    }
    std::vector<CacheKeyPtr> missing = Unplaced(*key, places);
    if (!missing.empty()) {
      open.insert(open.end(), missing.rbegin(), missing.rend());
      continue;
    }
    open.pop_back();
    ExportPlan::Node node = NodeOf(*key, places);
    local_->Find(*key);  // gives it its id if the index knows it
    for (const auto& [table, id] : key->ids()) {
      auto known = tables.find(table);
      if (known != tables.end() && !id.empty()) node.stored.emplace_back(known->second, id);
    }
    places.emplace(key.get(), plan.nodes.size());
    plan.nodes.push_back(std::move(node));
  }
  for (const CacheKeyPtr& key : keys) plan.ends.push_back(places.at(key.get()));
  return plan;
}

}  // namespace kiln::solver
