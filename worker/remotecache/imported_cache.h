// ImportedCache: a cache that lies elsewhere, as a source of keys and results.
//
// What "elsewhere" is, is a CacheOrigin: a registry, a client's folder. Loading a
// result fetches nothing: it gives lazy Refs whose layers come from the origin.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cache/index/memory_key_index.h"
#include "cache/ref_store.h"
#include "cache/remote/imported_graph.h"
#include "solver/cache_source.h"
#include "worker/client_session.h"

namespace kiln::worker {

struct CacheOrigin {
  std::string id;    // equal ids: the same source
  std::string name;  // "registry:host/name:tag", shown behind "importing cache manifest from"
  struct Opened {
    std::shared_ptr<cache::BlobSource> blobs;
    oci::Descriptor root;  // an index or a manifest
    std::string place = {};  // "host/repository" if what lies there can be named
  };
  // Blocks; called once.
  std::function<StatusOr<Opened>(const std::vector<std::string>& sessions)> open;
  // Told the media type of the root; may be null.
  std::function<void(std::string_view type)> on_type = {};
};

// Thread-safe.
class ImportedCache : public solver::CacheSource {
 public:
  ImportedCache(CacheOrigin origin, cache::RefStore& refs);

  const std::string& id() const override { return origin_.id; }
  const std::string& name() const override { return origin_.name; }
  Status Open(const std::vector<std::string>& sessions) override;
  cache::KeyIndex& keys() override { return keys_; }
  // Where it lies ("" if nobody knows), and the layers that it lists. Valid after Open.
  const std::string& place() const { return place_; }
  const std::set<Digest>& listed() const { return listed_; }
  StatusOr<std::vector<Loaded>> Load(std::string_view result_id,
                                     solver::JobContext& context) override;

 private:
  CacheOrigin origin_;
  cache::RefStore& refs_;
  std::mutex mutex_;  // guards opening; afterwards all is read-only
  std::optional<Status> opened_;
  std::shared_ptr<cache::BlobSource> blobs_;
  cache::MemoryKeyIndex keys_;
  cache::ImportedGraph graph_;
  std::string place_;
  std::set<Digest> listed_;
};

}  // namespace kiln::worker
