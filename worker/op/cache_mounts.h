// CacheMounts: the folders behind RUN --mount=type=cache, by id.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "cache/mount.h"
#include "cache/ref.h"
#include "cache/ref_store.h"

namespace kiln::worker {

enum class CacheSharing { kShared, kPrivate, kLocked };

// Thread-safe. One table per worker: shared folders are shared by all builds.
class CacheMounts {
 public:
  explicit CacheMounts(cache::RefStore& refs) : refs_(refs) {}

  // The folder for `id` and `seed`: one that exists and is free, or a new one over `seed`.
  // kLocked waits for the one that exists; kShared joins whoever has it.
  StatusOr<std::shared_ptr<cache::MutableRef>> Get(const std::string& id, CacheSharing sharing,
                                                   const cache::Ref& seed,
                                                   const std::string& description,
                                                   std::stop_token stop);
  // A folder as a mount. Those who have the same one at a time see one mount: two mounts of
  // one overlay would not see each other's files.
  StatusOr<cache::MountLease> Mount(const cache::MutableRef& folder, bool readonly,
                                    std::stop_token stop);
  // What tells folders of one id apart: their seed.
  static std::string KeyOf(const std::string& id, const cache::Ref& seed);
  // Nobody gets the folders of `id` any more, over whatever seed if `seeded`. Those that
  // are in use stay for who uses them.
  Status Forget(const std::string& id, bool seeded);

 private:
  struct Share {
    cache::MutableRef ref;
    int users = 0;
  };
  std::shared_ptr<cache::MutableRef> Join(const std::string& key, std::shared_ptr<Share> share);
  // A free folder that exists; empty if there is none. `locked`: there is one in use.
  StatusOr<cache::MutableRef> Find(const std::string& key, bool* locked);
  StatusOr<cache::MutableRef> Make(const std::string& id, const cache::Ref& seed,
                                   const std::string& description);

  cache::RefStore& refs_;
  std::mutex mutex_;
  std::condition_variable_any released_;
  std::map<std::string, std::shared_ptr<Share>> shared_;
  std::mutex mounting_;
  std::map<std::string, std::weak_ptr<cache::LocalMount>> places_;  // by record
};

}  // namespace kiln::worker
