// CacheSource: an imported cache, asked beside the local index.
//
// A source is a graph of keys (kept as a KeyIndex in memory) and a way to turn
// one of its results into a Ref. Implemented in cache/remote terms by control;
// where the graph comes from (registry, folder, image config) is its own matter.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cache/index/key_index.h"
#include "cache/ref.h"

namespace kiln::solver {

class JobContext;

// Thread-safe. One object may serve many builds.
class CacheSource {
 public:
  virtual ~CacheSource() = default;
  // Equal ids stand for the same source; a build that names it twice asks it once.
  virtual const std::string& id() const = 0;
  // What a warning calls it ("importing cache manifest from …").
  virtual const std::string& name() const = 0;

  // Fetches the key graph. Blocks; called as a job before keys() is asked, once
  // per build. A failure is a warning on the build, and the source is left out.
  virtual Status Open(const std::vector<std::string>& sessions) = 0;

  // The key graph. Never changes after Open and never blocks. Its links carry the
  // digest of the record they lead to (RootKey(digest, output)) and output 0, which
  // is what a cache config knows.
  virtual cache::KeyIndex& keys() = 0;

  // A tree that came with a load: the result asked for, or one below it.
  struct Loaded {
    std::string key;  // id in keys()
    cache::Ref ref;
    Time created;
  };
  // Turns a result into a Ref, lazily: no layer is fetched. The first entry is the
  // result that was asked for; others are results of its ancestors that came free.
  // NOT_FOUND, or any other failure, makes it a miss.
  virtual StatusOr<std::vector<Loaded>> Load(std::string_view result_id, JobContext& context) = 0;
};

}  // namespace kiln::solver
