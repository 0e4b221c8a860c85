// KeyIndex: which cache keys lead to which results, on disk.
//
// The tables have the meaning of the reference's cache key storage: a key is an
// id; a link (input index, output index, op digest, selector) leads from an
// input's key to a key; a result record is kept under a key. It knows no
// CacheKey and no Ref; solver/ gives the ids their meaning.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "base/time.h"

namespace kiln::cache {

struct KeyLink {
  int64_t input = 0;     // index of the input that the parent key stands for
  int64_t output = 0;
  Digest digest;         // CacheMap digest of the op
  Digest selector;       // may be empty
  auto operator<=>(const KeyLink&) const = default;
};

struct KeyResult {
  std::string id;  // record id in the RefStore; "" is scratch
  Time created;
};

// How a key came about, kept beside it for people (solver/recipe.h makes it).
struct KeyRecipe {
  std::string step;  // name of the step, without its number
  std::string slot;  // its place in the build and its kind: what stays if the text changes
  std::string body;  // opaque here
  Time created;
};

class RecipeLog;

// Thread-safe. Reads are served from memory or a WAL snapshot and do not wait for
// writes; writes are grouped into transactions by one writer thread.
class KeyIndex {
 public:
  virtual ~KeyIndex() = default;
  virtual bool Exists(std::string_view key) = 0;
  virtual Status AddResult(std::string_view key, const KeyResult& result) = 0;
  virtual StatusOr<std::vector<KeyResult>> Results(std::string_view key) = 0;
  // Drops a result from every key that has it, and keys and links that lead nowhere then.
  // `rule` is kept for people.
  virtual Status Release(std::string_view result_id, std::string_view rule = {}) = 0;
  virtual Status AddLink(std::string_view parent, const KeyLink& link, std::string_view key) = 0;
  virtual bool HasLink(std::string_view parent, const KeyLink& link, std::string_view key) = 0;
  // Keys reached from `parent` by `link`.
  virtual StatusOr<std::vector<std::string>> Links(std::string_view parent,
                                                   const KeyLink& link) = 0;
  // Parents of `key` with the links that lead from them.
  virtual Status Backlinks(std::string_view key,
                           const std::function<void(std::string_view parent, const KeyLink&)>&) = 0;
  // Keys under which a result is kept.
  virtual StatusOr<std::vector<std::string>> KeysOf(std::string_view result_id) = 0;
  // The journal for people; an index that keeps none forgets what it is told.
  virtual Status AddRecipe(std::string_view, KeyRecipe) { return OkStatus(); }
  virtual Status KeepSteps(std::string_view /*build*/, std::string /*body*/) { return OkStatus(); }
  virtual bool WantsFiles(std::string_view /*content*/) { return false; }
  virtual Status KeepFiles(std::string_view /*content*/, std::string /*files*/) {
    return OkStatus();
  }
  virtual const RecipeLog* recipes() const { return nullptr; }
  // Writes out all that was added before the call (crash safety for "step done").
  virtual Status Flush() = 0;
};

}  // namespace kiln::cache
