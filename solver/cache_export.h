// Cache export: the keys of a build's results as records of a cache document.
//
// The scheduler says which keys lead to a result (a plan, quickly made on its
// thread); ExportCache adds them to CacheChains, inputs first, and makes the
// layers that the mode asks for. cache/remote turns the chains into bytes.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cache/ref.h"
#include "cache/remote/cache_chains.h"
#include "solver/cache_key.h"
#include "solver/op.h"

namespace kiln::solver {

class KeyTable;

// Self-contained: may be used after the builds have ended.
struct ExportPlan {
  struct Dep {
    size_t node;      // place in `nodes`, before this one
    Digest selector;
  };
  struct Node {
    Digest record;    // RootKey of the key
    Digest vertex;    // for which the key was made, and its output
    int64_t output = 0;
    std::vector<std::vector<Dep>> deps;
    std::vector<size_t> also;
    std::vector<CacheRecord> records;  // results, best first
    bool of_result = false;
    std::optional<bool> export_cache;
    // Where the key is stored: other ways to it are exported with it.
    std::vector<std::pair<std::shared_ptr<KeyTable>, std::string>> stored;
  };
  std::vector<Node> nodes;  // inputs before consumers
  std::vector<size_t> ends;
};

struct CacheExportOptions {
  enum class Mode {
    kMin,         // the topmost results, and below them what has layers anyway
    kMax,         // all results but those of roots
    kRemoteOnly,  // only what has layers anyway
  };
  Mode mode = Mode::kMin;
  cache::CompressionOptions compression = {};
  std::vector<std::string> sessions = {};
  std::stop_token stop = {};
};

// Adds everything of `plan` to `chains`. Blocks: makes layers. A step in the middle
// whose layers cannot be made is left out, with what stands on it; if it is an end
// of the plan, its error is returned.
Status ExportCache(const ExportPlan& plan, OpResolver& ops, const CacheExportOptions& options,
                   cache::CacheChains& chains);

}  // namespace kiln::solver
