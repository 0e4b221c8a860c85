// CacheChains: the key graph of a cache export while it is put together.
//
// Records with the same digest and the same inputs become one; a link that would
// close a loop is left out, so the graph is acyclic by construction. The solver
// adds records inputs first; Marshal gives the document and its layers.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "cache/ref.h"
#include "cache/remote/cache_config.h"

namespace kiln::cache {

// Not thread-safe: one export, one thread.
class CacheChains {
 public:
  class Record;  // opaque; owned by the chains

  struct Link {
    Record* source = nullptr;
    std::string selector;
  };
  struct Result {
    Time created;
    Remote remote;
  };

  CacheChains();
  ~CacheChains();

  // Adds a record, or finds the equal one and adds to it. `inputs` lists per input
  // the records that may stand there; none may be empty. Null for "random:" digests,
  // which are never exported. INVALID_ARGUMENT for an empty input.
  StatusOr<Record*> Add(std::string_view digest, std::vector<std::vector<Link>> inputs,
                        std::vector<Result> results);

  struct Marshalled {
    CacheConfig config;                                  // sorted
    std::map<Digest, std::pair<Layer, std::shared_ptr<BlobSource>>> blobs;
  };
  // Records that lead to no result are kept: they are the way to later ones. Results
  // that need one of the blobs in `lost` are left out.
  Marshalled Marshal(const std::set<Digest>& lost = {}) const;

 private:
  struct Key;
  std::vector<std::unique_ptr<Record>> records_;         // in order of adding: inputs first
  std::unordered_map<std::string, Record*> roots_;
};

}  // namespace kiln::cache
