#include "worker/op/cache_mounts.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kMetadataKey = "cache-dir";
constexpr std::string_view kIdKey = "cache-dir-id";
// Another process' step cannot wake us; ours do.
constexpr std::chrono::milliseconds kRetry{100};

}  // namespace

std::string CacheMounts::KeyOf(const std::string& id, const cache::Ref& seed) {
  return seed.empty() ? id : StrCat(id, ":", seed.id());
}

StatusOr<std::shared_ptr<cache::MutableRef>> CacheMounts::Get(const std::string& id,
                                                              CacheSharing sharing,
                                                              const cache::Ref& seed,
                                                              const std::string& description,
                                                              std::stop_token stop) {
  const std::string key = KeyOf(id, seed);
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
    ASSIGN_OR_RETURN(found, Make(id, seed, description));
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

StatusOr<cache::MountLease> CacheMounts::Mount(const cache::MutableRef& folder, bool readonly,
                                               std::stop_token stop) {
  std::lock_guard lock(mounting_);
  std::erase_if(places_, [](const auto& entry) { return entry.second.expired(); });
  auto known = places_.find(folder.id());
  std::shared_ptr<cache::LocalMount> place =
      known == places_.end() ? nullptr : known->second.lock();
  if (place == nullptr) {
    ASSIGN_OR_RETURN(cache::MountLease lease, folder.Mount(/*readonly=*/false, stop));
    const bool plain = std::all_of(lease.mounts.begin(), lease.mounts.end(),
                                   [](const cache::Mount& part) { return part.type == "bind"; });
    if (plain) return folder.Mount(readonly, std::move(stop));
    // fsync is the step's to use.
    for (cache::Mount& part : lease.mounts) std::erase(part.options, "volatile");
    ASSIGN_OR_RETURN(auto opened, cache::LocalMount::Open(std::move(lease), refs_.temp_dir()));
    place = std::make_shared<cache::LocalMount>(std::move(opened));
    places_[folder.id()] = place;
  }
  return cache::MountLease{{{"bind", place->path(), {readonly ? "ro" : "rw", "rbind"}}}, place};
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

StatusOr<cache::MutableRef> CacheMounts::Make(const std::string& id, const cache::Ref& seed,
                                              const std::string& description) {
  ASSIGN_OR_RETURN(cache::MutableRef ref,
                   refs_.NewMutable(seed, {.description = description,
                                           .type = cache::RecordType::kCacheMount,
                                           .retain = true}));
  RETURN_IF_ERROR(ref.SetMetadata(kIdKey, id, true));
  RETURN_IF_ERROR(ref.SetMetadata(kMetadataKey, KeyOf(id, seed), true));
  return ref;
}

Status CacheMounts::Forget(const std::string& id, bool seeded) {
  std::lock_guard lock(mutex_);
  for (auto share = shared_.begin(); share != shared_.end();) {
    const bool same = share->first == id || (seeded && share->first.starts_with(id + ":"));
    if (!same) {
      ++share;
      continue;
    }
    RETURN_IF_ERROR(share->second->ref.SetMetadata(kMetadataKey, "", true));
    share = shared_.erase(share);
  }
  ASSIGN_OR_RETURN(std::vector<std::string> records,
                   refs_.Find(seeded ? kIdKey : kMetadataKey, id));
  for (const std::string& record : records) {
    {
      StatusOr<cache::MutableRef> ref = refs_.GetMutable(record);
      if (!ref.ok()) continue;
      RETURN_IF_ERROR(ref->SetMetadata(kMetadataKey, "", true));
    }
    RETURN_IF_ERROR(refs_.Prune({.filters = {StrCat("id==", record)}},
                                [](const cache::UsageRecord&) {}));
  }
  return OkStatus();
}

}  // namespace kiln::worker
