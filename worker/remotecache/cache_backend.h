// CacheBackend: one kind of place where a cache can lie (a registry, a client's folder).
//
// A backend makes, from the attributes of a request, an origin to import from or an
// exporter to export to. What is in a cache is cache/remote's business, which keys
// are exported the solver's.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "cache/remote/cache_chains.h"
#include "solver/progress.h"
#include "worker/remotecache/imported_cache.h"

namespace kiln::worker {

using CacheAttrs = std::map<std::string, std::string>;

// Layers that a build has seen listed in caches, by the place where they lie
// (CacheOrigin::Opened::place): an export to the same place need not ask for them.
using SeenBlobs = std::map<std::string, std::set<Digest>>;

// One configured cache export of one build. Used by one thread.
class CacheExporter {
 public:
  virtual ~CacheExporter() = default;
  virtual std::string name() const = 0;  // "exporting cache to registry"
  // An inline cache is written by the image exporters, and Write is never called.
  virtual bool is_inline() const { return false; }
  virtual cache::CompressionOptions compression() const { return {}; }
  // Blocks until everything is where it belongs; gives values for the response
  // ("cache.manifest"). Reads lazy layers that the place does not have; results whose
  // layers are gone where they come from are left out.
  virtual StatusOr<CacheAttrs> Write(const cache::CacheChains& chains, const SeenBlobs& seen,
                                     solver::VertexProgress& progress, std::stop_token stop) = 0;
};

// Thread-safe.
class CacheBackend {
 public:
  virtual ~CacheBackend() = default;
  // Errors are the reference's, without "failed to configure …".
  virtual StatusOr<CacheOrigin> Import(const CacheAttrs& attrs) = 0;
  virtual StatusOr<std::unique_ptr<CacheExporter>> Export(const CacheAttrs& attrs,
                                                          const std::string& session) = 0;
};

// All backends by type. Thread-safe once filled.
class CacheBackends {
 public:
  explicit CacheBackends(cache::RefStore& refs) : refs_(refs) {}
  void Add(std::string type, std::unique_ptr<CacheBackend> backend) {
    backends_[std::move(type)] = std::move(backend);
  }

  // A source that is open: its key graph has been read. Blocks. `progress` may be null.
  // "unknown cache importer: X", "failed to configure X cache importer: …".
  StatusOr<std::shared_ptr<ImportedCache>> Import(const std::string& type, const CacheAttrs& attrs,
                                                  const std::vector<std::string>& sessions,
                                                  solver::VertexProgress* progress);
  // "unknown cache exporter: "X"", "failed to configure X cache exporter: …".
  StatusOr<std::unique_ptr<CacheExporter>> Export(const std::string& type, const CacheAttrs& attrs,
                                                  const std::string& session);

 private:
  cache::RefStore& refs_;
  std::map<std::string, std::unique_ptr<CacheBackend>> backends_;
};

// type=inline: nothing to import by itself.
std::unique_ptr<CacheBackend> NewInlineCacheBackend();
// type=local: a folder of the client's, behind its session. `sessions` must outlive it.
std::unique_ptr<CacheBackend> NewLocalCacheBackend(SessionTable& sessions);

}  // namespace kiln::worker
