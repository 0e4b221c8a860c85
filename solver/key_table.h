// KeyTable: keys as one cache stores them: the local index, or an imported one.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cache/index/key_index.h"
#include "solver/cache_key.h"
#include "solver/cache_source.h"

namespace kiln::solver {

// Used on the scheduler's thread only: it gives keys their ids. Never blocks.
class KeyTable {
 public:
  explicit KeyTable(cache::KeyIndex& index) : index_(&index) {}
  // The table of an opened source.
  explicit KeyTable(std::shared_ptr<CacheSource> source)
      : index_(&source->keys()), source_(std::move(source)) {}
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  bool local() const { return source_ == nullptr; }
  const std::shared_ptr<CacheSource>& source() const { return source_; }
  cache::KeyIndex& index() const { return *index_; }

  // Id of the root key (digest, output) if the table has it, else "".
  std::string FindRoot(const Digest& digest, int64_t output) const;
  // Ids of keys of (digest, output) to which any of `keys` leads as input `input`.
  // In the local table the keys that do not lead there yet are linked: they stand
  // for the same input.
  std::vector<std::string> Query(std::span<const KeyWithSelector> keys, int64_t input,
                                 const Digest& digest, int64_t output) const;
  // Id of `key`; "" if the table has none.
  std::string Find(const CacheKey& key) const;
  // Id of `key` in the local table; a new one if it has none.
  std::string FindOrMake(const CacheKey& key) const;
  // Results under an id, newest first.
  std::vector<CacheRecord> Records(const std::string& id) const;
  // Keeps `result` under `key` and under everything that leads to it. Local table only.
  Status Save(const CacheKey& key, const cache::KeyResult& result) const;

 private:
  cache::KeyLink LinkOf(int64_t input, const Digest& digest, int64_t output,
                        const Digest& selector) const;
  void ResolveIds(const CacheKey& key, bool make) const;
  std::string IdFromDeps(const CacheKey& key) const;
  std::string KnownId(const CacheKey& key) const;

  cache::KeyIndex* index_;
  std::shared_ptr<CacheSource> source_;
};

}  // namespace kiln::solver
