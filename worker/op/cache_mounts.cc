#include "worker/op/cache_mounts.h"

#include <chrono>

#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kMetadataKey = "cache-dir";
// Another process' step cannot wake us; ours do.
constexpr std::chrono::milliseconds kRetry{100};

}  // namespace

StatusOr<std::shared_ptr<cache::MutableRef>> CacheMounts::Get(const std::string& key,
                                                              CacheSharing sharing,
                                                              const cache::Ref& seed,
                                                              const std::string& description,
                                                              std::stop_token stop) {
  std::unique_lock lock(mutex_);
  cache::MutableRef found;
  for (;;) {
    if (auto share = shared_.find(key); sharing == CacheSharing::kShared && share != shared_.end()) {
      return Join(key, share->second);
    }
    bool locked = false;
    ASSIGN_OR_RETURN(found, Find(key, &locked));
    if (!found.empty() || !locked || sharing != CacheSharing::kLocked) break;
    released_.wait_for(lock, stop, kRetry, [] { return false; });
    if (stop.stop_requested()) return CancelledError("context canceled");
  }
  if (found.empty()) {
    ASSIGN_OR_RETURN(found, Make(key, seed, description));
  }
  auto share = std::make_shared<Share>();
  share->ref = std::move(found);
  if (sharing == CacheSharing::kShared) {
    shared_[key] = share;
  }
  return Join(key, std::move(share));
}

std::shared_ptr<cache::MutableRef> CacheMounts::Join(const std::string& key,
                                                     std::shared_ptr<Share> share) {
  ++share->users;
  cache::MutableRef* ref = &share->ref;
  // The last user gives the record back under our lock, so that the next one
  // never meets it half released and makes a second folder.
  return {ref, [this, key, share](cache::MutableRef*) {
            std::lock_guard lock(mutex_);
            if (--share->users == 0) {
              auto known = shared_.find(key);
              if (known != shared_.end() && known->second == share) shared_.erase(known);
              share->ref = cache::MutableRef();
              released_.notify_all();
            }
          }};
}

StatusOr<cache::MutableRef> CacheMounts::Find(const std::string& key, bool* locked) {
  ASSIGN_OR_RETURN(std::vector<std::string> ids, refs_.Find(kMetadataKey, key));
  for (const std::string& id : ids) {
    StatusOr<cache::MutableRef> ref = refs_.GetMutable(id);
    if (ref.ok()) return ref;
    if (ref.status().code() == StatusCode::kUnavailable) {
      *locked = true;
    } else {
      log::Warning(StrCat("cache mount ", key, ": ", ref.status().message()));
    }
  }
  return cache::MutableRef();
}

StatusOr<cache::MutableRef> CacheMounts::Make(const std::string& key, const cache::Ref& seed,
                                              const std::string& description) {
  ASSIGN_OR_RETURN(cache::MutableRef ref,
                   refs_.NewMutable(seed, {.description = description,
                                           .type = cache::RecordType::kCacheMount,
                                           .retain = true}));
  RETURN_IF_ERROR(ref.SetMetadata(kMetadataKey, key, true));
  return ref;
}

}  // namespace kiln::worker
