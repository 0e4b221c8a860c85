// The suite that every cache backend passes, whatever lies behind it.
//
// A backend's test brings a CachePlace and instantiates the suite with a function that
// makes one; a new backend needs no test of its own for what all have in common.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/file.h"
#include "cache/content/content_store.h"
#include "cache/database.h"
#include "cache/ref_store.h"
#include "worker/remotecache/cache_backend.h"

namespace kiln::worker::testing {

// Somewhere that caches are kept, empty at first, and the backend that speaks to it.
// Thread-safe as far as the backend calls it.
class CachePlace {
 public:
  virtual ~CachePlace() = default;
  virtual CacheBackend& backend() = 0;
  virtual CacheAttrs export_attrs() const = 0;
  // For what the export with that response left.
  virtual CacheAttrs import_attrs(const CacheAttrs& response) const = 0;
  virtual std::string session() const { return "session"; }
  // Whether an import says where it lies, so that its layers need not be asked for.
  virtual bool names_itself() const = 0;

  struct Asked {
    std::vector<std::string> questions;  // digests that were asked for, in order
    std::vector<std::string> sent;       // digests whose bytes arrived
  };
  virtual Asked TakeAsked() = 0;  // since the last call
  virtual bool Has(const Digest& blob) = 0;
  virtual void Lose(const Digest& blob) = 0;
  virtual void Damage(const Digest& blob) = 0;  // other bytes of the same length
  virtual void GoAway() = 0;                    // every call fails from now on
};

struct CachePlaceKind {
  const char* name;
  std::function<std::unique_ptr<CachePlace>()> make;
};
inline void PrintTo(const CachePlaceKind& kind, std::ostream* out) { *out << kind.name; }

// A root with a native snapshotter.
struct StoreRoot {
  StoreRoot();
  // A tree of one file over `parent`.
  cache::Ref Make(const cache::Ref& parent, const std::string& file, const std::string& text);
  // Text of a file; "" and a failure of the test if it cannot be read.
  std::string Read(const cache::Ref& ref, const std::string& file);

  TempDir temp;
  std::unique_ptr<cache::Database> database;
  std::unique_ptr<cache::ContentStore> content;
  std::unique_ptr<cache::RefStore> refs;
};

class CacheBackendSuite : public ::testing::TestWithParam<CachePlaceKind> {
 protected:
  CacheBackendSuite();
  // Exports two steps, "one" below "two", as a build with mode=max has them.
  // The layer of the step `lost` is nowhere any more.
  void Fill(cache::CacheChains* chains, const std::string& lost = {});
  StatusOr<CacheAttrs> Export(const cache::CacheChains& chains, const CacheAttrs& more = {},
                              const SeenBlobs& seen = {}, std::stop_token stop = {});
  CacheAttrs Exported(const cache::CacheChains& chains);
  StatusOr<std::shared_ptr<ImportedCache>> Import(const CacheAttrs& response);
  // The result of a step as the cache gives it; NOT_FOUND if it has no such step.
  StatusOr<cache::Ref> Load(ImportedCache& imported, const std::string& step);
  Digest LayerOf(const std::string& step) const { return layers_.at(step).blob.digest; }

  std::unique_ptr<CachePlace> place_;
  StoreRoot maker_, taker_;
  std::map<std::string, cache::Layer> layers_;
};

}  // namespace kiln::worker::testing
