// Source: how the bytes behind a SourceOp come in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "cache/ref.h"
#include "solver/op.h"

namespace kiln::worker {

// One resolved source of one vertex: its keys, then its tree.
class SourceInstance {
 public:
  virtual ~SourceInstance() = default;
  // Cache key number `index`; `complete` false if another may follow.
  struct Key {
    std::string key;       // text; the op hashes it with the identifier's scheme as the reference does
    bool complete = true;
  };
  virtual StatusOr<Key> CacheKey(int index, solver::JobContext& context) = 0;
  virtual StatusOr<cache::Ref> Snapshot(solver::JobContext& context) = 0;
};

// One scheme: "docker-image", "local", "git", "http", "oci-layout" …
class Source {
 public:
  virtual ~Source() = default;
  virtual std::vector<std::string> schemes() const = 0;
  // INVALID_ARGUMENT for identifiers or attributes that do not parse.
  virtual StatusOr<std::unique_ptr<SourceInstance>> Resolve(
      std::string_view scheme, std::string_view reference,
      const std::map<std::string, std::string>& attrs, const std::optional<Platform>& platform) = 0;
};

}  // namespace kiln::worker
