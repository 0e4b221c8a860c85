// CacheKey: how a result can be found again: the op's own digest, and per input
// the keys under which that input was known.
//
// A key is a recipe; under which id a cache keeps it is the business of KeyTable
// (key_table.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/time.h"

namespace kiln::solver {

class CacheKey;
class CacheSource;
class KeyTable;
using CacheKeyPtr = std::shared_ptr<const CacheKey>;

// A result that is kept under a key somewhere. A null source is the local index.
struct CacheRecord {
  std::shared_ptr<CacheSource> source;
  std::string id;
  Time created;
};

struct KeyWithSelector {
  CacheKeyPtr key;
  Digest selector;  // empty: the whole input
};

// The digest that a cache config shows for a key, and the id of a key without
// inputs: that of "DIGEST@OUTPUT". Digests with the algorithm "random" stay
// themselves; they are never exported.
Digest RootKey(const Digest& digest, int64_t output);

// Output index of keys made from the content of a tree.
inline constexpr int64_t kContentOutput = -1;

// Immutable once shared, but for the ids, which belong to the scheduler's thread.
class CacheKey {
 public:
  CacheKey(Digest digest, int64_t output, Digest vertex)
      : digest_(std::move(digest)), output_(output), vertex_(std::move(vertex)) {}
  ~CacheKey();
  CacheKey(const CacheKey&) = delete;
  CacheKey& operator=(const CacheKey&) = delete;

  static CacheKeyPtr Content(const Digest& digest);

  const Digest& digest() const { return digest_; }
  int64_t output() const { return output_; }
  // Vertex for which it was made; empty for content keys.
  const Digest& vertex() const { return vertex_; }
  // Per input, all keys that stand for it.
  const std::vector<std::vector<KeyWithSelector>>& deps() const { return deps_; }
  // Results known when the key was found or saved, best first: what an export looks at.
  const std::vector<CacheRecord>& records() const { return records_; }
  // Whether this is the key of a result that a build has, rather than of one it might load.
  bool of_result() const { return of_result_; }
  // The vertex's word on whether its result is exported; nullopt leaves it to the mode.
  std::optional<bool> export_cache() const { return export_cache_; }
  // Keys of results that this one was made of but does not have as inputs (build ops).
  const std::vector<CacheKeyPtr>& also() const { return also_; }

  // For the maker, before the key is shared.
  void set_deps(std::vector<std::vector<KeyWithSelector>> deps) { deps_ = std::move(deps); }
  void set_records(std::vector<CacheRecord> records) { records_ = std::move(records); }
  void set_of_result(CacheRecord record) {
    records_ = {std::move(record)};
    of_result_ = true;
  }
  void set_export_cache(std::optional<bool> value) { export_cache_ = value; }
  void set_also(std::vector<CacheKeyPtr> also) { also_ = std::move(also); }

  // Id in `table`, null if none was set. Scheduler's thread only.
  const std::string* IdIn(const KeyTable* table) const;
  void SetIdIn(const KeyTable* table, std::string id) const;
  const std::vector<std::pair<const KeyTable*, std::string>>& ids() const { return ids_; }

 private:
  const Digest digest_;
  const int64_t output_;
  const Digest vertex_;
  std::vector<std::vector<KeyWithSelector>> deps_;
  std::vector<CacheRecord> records_;
  bool of_result_ = false;
  std::optional<bool> export_cache_;
  std::vector<CacheKeyPtr> also_;
  mutable std::vector<std::pair<const KeyTable*, std::string>> ids_;
};

}  // namespace kiln::solver
