// ImportedGraph: cache documents as a key graph that can be asked.
//
// Fills a KeyIndex: a root record has its digest as key, others a number of their
// own. Results are chains of layers; which Ref they become is the caller's matter.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/index/key_index.h"
#include "cache/remote/cache_document.h"

namespace kiln::cache {

// Built once, then read-only and thread-safe.
class ImportedGraph {
 public:
  // Adds one document. Results whose layers the manifest does not list are left out.
  Status Add(const CacheDocument& document, KeyIndex* keys);

  // A result and those below it that are part of its chain, the one asked for first.
  struct Found {
    std::string key;
    Time created;
    std::vector<Layer> layers;  // lowest first
  };
  StatusOr<std::vector<Found>> Results(std::string_view result_id) const;  // NOT_FOUND

 private:
  struct Node {
    std::string key;
    std::vector<size_t> parents;
    std::vector<std::pair<Time, std::vector<Layer>>> results;
  };
  std::vector<Node> nodes_;
  std::map<std::string, std::vector<size_t>, std::less<>> by_result_;
};

}  // namespace kiln::cache
