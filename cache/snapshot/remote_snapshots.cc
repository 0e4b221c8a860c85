#include "cache/snapshot/remote_snapshots.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cache/snapshot/snapshot_mounts.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kActive = "-active";
constexpr std::string_view kView = "-view";
// Where a committed snapshot's files are: to ask for that takes a view each time.
constexpr const char* kFolderLabel = "kiln/folder";
constexpr const char* kProbe = "kiln-probe";

struct Entry {
  std::string parent;
  SnapshotFolders folders;
  std::atomic<bool> committed = false;
  std::mutex freezing;
};
using EntryPtr = std::shared_ptr<Entry>;

class RemoteSnapshots : public SnapshotStore {
 public:
  RemoteSnapshots(Snapshotter& snapshotter, std::string temp_dir)
      : remote_(snapshotter), temp_dir_(std::move(temp_dir)) {}
  ~RemoteSnapshots() override;
  Status Start();

  bool chained() const override { return layered(); }
  Status Create(const std::string& id, std::span<const std::string> parents) override;
  Status Adopt(const std::string& id, const std::string& folder,
               std::span<const std::string> parents) override;
  Status Freeze(const std::string& id) override;
  bool frozen(const std::string& id) const override;
  Status Remove(const std::string& id) override;
  Status Collect() override;
  StatusOr<std::vector<std::string>> List() const override;
  std::string folder() const override;

 protected:
  std::string FolderOf(const std::string& id) const override;
  std::string WorkOf(const std::string& id) const override;

 private:
  Status Load(const std::vector<Snapshotter::Info>& found);
  StatusOr<SnapshotFolders> FoldersOfCommitted(const std::string& id,
                                               const Snapshotter::Info& info);
  Status Probe();
  EntryPtr Find(const std::string& id) const;
  std::string BelowOf(std::span<const std::string> parents) const;
  StatusOr<EntryPtr> Prepare(const std::string& id, std::span<const std::string> parents);
  StatusOr<EntryPtr> PrepareAnnounced(const std::string& id, const std::string& parent);
  Status Commit(const std::string& id, const Entry& entry);
  StatusOr<SnapshotFolders> Settle(const std::string& id, const std::vector<Mount>& mounts);
  Status RemoveNames(const std::vector<std::string>& names);
  void RemoveWaiting();
  Status RemoveStrays();

  Snapshotter& remote_;
  const std::string temp_dir_;
  mutable std::mutex mutex_;
  std::map<std::string, EntryPtr, std::less<>> entries_;
  std::multiset<std::string, std::less<>> making_;  // ids that will be entries
  std::vector<std::string> waiting_;  // names that could not be removed yet
  std::string folder_;
  std::atomic<bool> removed_ = false;  // since the last Collect
};

std::string ActiveKey(const std::string& id) { return StrCat(id, kActive); }

RemoteSnapshots::~RemoteSnapshots() {
  for (const auto& [id, entry] : entries_) {
    if (entry->folders.mounted) UnmountAll(entry->folders.fs).IgnoreError();
  }
}

EntryPtr RemoteSnapshots::Find(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second;
}

std::string RemoteSnapshots::FolderOf(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(id);
  return it == entries_.end() ? "" : it->second->folders.fs;
}

std::string RemoteSnapshots::WorkOf(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(id);
  return it == entries_.end() ? "" : it->second->folders.work;
}

std::string RemoteSnapshots::folder() const {
  std::lock_guard lock(mutex_);
  return folder_;
}

bool RemoteSnapshots::frozen(const std::string& id) const {
  EntryPtr entry = Find(id);
  return entry != nullptr && entry->committed;
}

// What mounts say of the folders; what is neither bind nor overlay is mounted here.
StatusOr<SnapshotFolders> RemoteSnapshots::Settle(const std::string& id,
                                                  const std::vector<Mount>& mounts) {
  SnapshotFolders folders = FoldersOf(mounts);
  if (folders.fs.empty()) {
    folders.fs = JoinPath(temp_dir_, StrCat("snapshot-", id));
    RETURN_IF_ERROR(MakeDirs(folders.fs, 0700));
    RETURN_IF_ERROR(MountAll(mounts, folders.fs));
    folders.mounted = true;
  }
  if (!PathExists(folders.fs)) {
    return FailedPreconditionError(
        StrCat("the snapshotter's folder ", folders.fs, " cannot be seen from here"));
  }
  return folders;
}

StatusOr<SnapshotFolders> RemoteSnapshots::FoldersOfCommitted(const std::string& id,
                                                              const Snapshotter::Info& info) {
  auto label = info.labels.find(kFolderLabel);
  if (label != info.labels.end() && PathExists(label->second)) {
    return SnapshotFolders{label->second, WorkBeside(label->second), false};
  }
  const std::string key = StrCat(id, kView);
  ASSIGN_OR_RETURN(std::vector<Mount> mounts, remote_.View(key, id));
  StatusOr<SnapshotFolders> folders = Settle(id, mounts);
  if (!folders.ok() || !folders->mounted) remote_.Remove(key).IgnoreError();
  return folders;
}

Status RemoteSnapshots::Load(const std::vector<Snapshotter::Info>& found) {
  std::vector<std::string> gone;
  for (const Snapshotter::Info& info : found) {
    if (info.name.starts_with(kProbe) || info.name.ends_with(kView)) gone.push_back(info.name);
  }
  RETURN_IF_ERROR(RemoveNames(gone));
  gone.clear();
  for (bool committed : {true, false}) {
    for (const Snapshotter::Info& info : found) {
      if (info.committed != committed || info.name.starts_with(kProbe) ||
          info.name.ends_with(kView)) {
        continue;
      }
      std::string id = info.name;
      if (id.ends_with(kActive)) id.resize(id.size() - kActive.size());
      auto entry = std::make_shared<Entry>();
      entry->parent = info.parent;
      entry->committed = committed;
      StatusOr<SnapshotFolders> folders = NotFoundError(info.name);
      if (committed) {
        folders = FoldersOfCommitted(id, info);
      } else if (StatusOr<std::vector<Mount>> mounts = remote_.Mounts(info.name); mounts.ok()) {
        folders = Settle(id, *mounts);
      } else {
        folders = mounts.status();
      }
      if (folders.ok()) {
        if (!folders->mounted) folder_ = DirName(DirName(folders->fs));
        entry->folders = *std::move(folders);
      }
      // Without folders it is not used, and removed like any that nobody wants.
      if (!entries_.try_emplace(id, std::move(entry)).second) gone.push_back(info.name);
    }
  }
  return RemoveNames(gone);
}

// What a snapshotter is shows in its mounts, whatever its name.
Status RemoteSnapshots::Probe() {
  const std::string below = StrCat(kProbe, "-below"), above = StrCat(kProbe, "-above");
  auto probe = [&]() -> StatusOr<std::vector<Mount>> {
    RETURN_IF_ERROR(remote_.Prepare(StrCat(below, kActive), "").status());
    RETURN_IF_ERROR(remote_.Commit(below, StrCat(below, kActive), {}));
    return remote_.Prepare(above, below);
  };
  StatusOr<std::vector<Mount>> mounts = probe();
  for (const std::string& name : {above, below, StrCat(below, kActive)}) {
    remote_.Remove(name).IgnoreError();
  }
  if (!mounts.ok()) return mounts.status();
  SetKind(KindOf(*mounts));
  return OkStatus();
}

Status RemoteSnapshots::Start() {
  ASSIGN_OR_RETURN(std::vector<Snapshotter::Info> found, remote_.Walk());
  RETURN_IF_ERROR(Load(found));
  return Probe();
}

// The snapshot that `parents` (lowest first) is the chain of, and which a new one may so be
// prepared over; "" if the snapshotter knows no such. A whole tree has no need of its chain.
std::string RemoteSnapshots::BelowOf(std::span<const std::string> parents) const {
  if (parents.empty()) return "";
  std::lock_guard lock(mutex_);
  auto it = entries_.find(parents.back());
  if (it == entries_.end()) return "";
  if (!layered()) return parents.back();
  for (size_t left = parents.size(); left > 0; --left) {
    it = entries_.find(parents[left - 1]);
    const std::string& below = left > 1 ? parents[left - 2] : std::string();
    if (it == entries_.end() || it->second->parent != below) return "";
  }
  return parents.back();
}

StatusOr<EntryPtr> RemoteSnapshots::Prepare(const std::string& id,
                                            std::span<const std::string> parents) {
  RemoveWaiting();
  const std::string parent = BelowOf(parents);
  if (!parent.empty()) RETURN_IF_ERROR(Freeze(parent));
  {
    std::lock_guard lock(mutex_);
    making_.insert(id);
  }
  StatusOr<EntryPtr> made = PrepareAnnounced(id, parent);
  std::lock_guard lock(mutex_);
  making_.erase(making_.find(id));
  return made;
}

StatusOr<EntryPtr> RemoteSnapshots::PrepareAnnounced(const std::string& id,
                                                     const std::string& parent) {
  auto entry = std::make_shared<Entry>();
  entry->parent = parent;
  const std::string key = ActiveKey(id);
  StatusOr<std::vector<Mount>> mounts = remote_.Prepare(key, entry->parent);
  if (mounts.status().code() == StatusCode::kAlreadyExists) {
    RETURN_IF_ERROR(remote_.Remove(key));  // of an attempt whose end nobody heard of
    mounts = remote_.Prepare(key, entry->parent);
  }
  if (!mounts.ok()) return mounts.status();
  StatusOr<SnapshotFolders> folders = Settle(id, *mounts);
  if (!folders.ok()) {
    RemoveNames({key}).IgnoreError();
    return folders.status();
  }
  entry->folders = *std::move(folders);
  std::lock_guard lock(mutex_);
  entries_[id] = entry;
  if (!entry->folders.mounted) folder_ = DirName(DirName(entry->folders.fs));
  return entry;
}

Status RemoteSnapshots::Create(const std::string& id, std::span<const std::string> parents) {
  ASSIGN_OR_RETURN(EntryPtr entry, Prepare(id, parents));
  if (parents.empty()) return OkStatus();
  const std::string below = FsDir(parents.back());
  Status made;
  if (layered()) {
    // The root of an overlay is its uppermost folder, so it must look like the one below.
    made = CopyRootMetadata(below, entry->folders.fs);
  } else if (entry->parent.empty()) {
    made = CopyTree(below, entry->folders.fs);
  }
  if (!made.ok()) Remove(id).IgnoreError();
  return made;
}

Status RemoteSnapshots::Adopt(const std::string& id, const std::string& folder,
                              std::span<const std::string> parents) {
  if (!layered()) parents = {};  // the folder is the whole tree
  ASSIGN_OR_RETURN(EntryPtr entry, Prepare(id, parents));
  Status made;
  const std::string& fs = entry->folders.fs;
  if (::rename(folder.c_str(), fs.c_str()) != 0) {
    const bool elsewhere = errno == EXDEV || errno == EBUSY;
    made = elsewhere ? CopyTree(folder, fs) : ErrnoStatus(errno, StrCat("rename ", folder));
  }
  if (made.ok()) made = Freeze(id);
  if (!made.ok()) Remove(id).IgnoreError();
  return made;
}

// A commit whose answer was lost may have been done, and one before it may have left its name.
Status RemoteSnapshots::Commit(const std::string& id, const Entry& entry) {
  std::map<std::string, std::string> labels;
  if (!entry.folders.mounted) labels[kFolderLabel] = entry.folders.fs;
  const std::string key = ActiveKey(id);
  Status committed = remote_.Commit(id, key, labels);
  if (committed.ok()) return committed;
  if (IsNotFound(committed)) {
    StatusOr<Snapshotter::Info> done = remote_.Stat(id);
    if (done.ok() && done->committed) return OkStatus();
  }
  if (committed.code() != StatusCode::kAlreadyExists) return committed;
  RETURN_IF_ERROR(remote_.Remove(id));
  return remote_.Commit(id, key, labels);
}

Status RemoteSnapshots::Freeze(const std::string& id) {
  EntryPtr entry = Find(id);
  if (entry == nullptr) return NotFoundError(StrCat("snapshot ", id, ": not found"));
  std::lock_guard freezing(entry->freezing);
  if (entry->committed) return OkStatus();
  if (!entry->folders.mounted) {
    RETURN_IF_ERROR(Commit(id, *entry));
    entry->committed = true;
    return OkStatus();
  }
  // A device: what is committed is another one.
  RETURN_IF_ERROR(UnmountAll(entry->folders.fs));
  RETURN_IF_ERROR(Commit(id, *entry));
  entry->committed = true;
  ASSIGN_OR_RETURN(std::vector<Mount> mounts, remote_.View(StrCat(id, kView), id));
  return MountAll(mounts, entry->folders.fs);
}

Status RemoteSnapshots::Remove(const std::string& id) {
  EntryPtr entry;
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(id);
    if (it == entries_.end()) return OkStatus();
    entry = it->second;
    entries_.erase(it);
  }
  std::vector<std::string> names;
  if (entry->folders.mounted) {
    UnmountAll(entry->folders.fs).IgnoreError();
    ::rmdir(entry->folders.fs.c_str());
    names.push_back(StrCat(id, kView));
  }
  names.push_back(entry->committed ? id : ActiveKey(id));
  return RemoveNames(names);
}

// What cannot go now goes later: something still lies on it, or nobody answers.
Status RemoteSnapshots::RemoveNames(const std::vector<std::string>& names) {
  Status first;
  for (const std::string& name : names) {
    Status removed = remote_.Remove(name);
    if (removed.ok()) {
      removed_ = true;
      continue;
    }
    std::lock_guard lock(mutex_);
    waiting_.push_back(name);
    if (first.ok() && removed.code() != StatusCode::kFailedPrecondition) first = removed;
  }
  return first;
}

void RemoteSnapshots::RemoveWaiting() {
  for (size_t before = 0;;) {
    std::vector<std::string> names;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.empty() || waiting_.size() == before) return;  // none went the last time
      before = waiting_.size();
      names.swap(waiting_);
    }
    if (!RemoveNames(names).ok()) return;
  }
}

// What a call made of which nobody heard: by the last process, which was killed while its keeper
// was copying a tree, or by this one, to which it took too long.
Status RemoteSnapshots::RemoveStrays() {
  ASSIGN_OR_RETURN(std::vector<Snapshotter::Info> found, remote_.Walk());
  std::vector<std::string> strays;
  {
    std::lock_guard lock(mutex_);
    for (const Snapshotter::Info& info : found) {
      const std::string id(TrimSuffix(TrimSuffix(info.name, kActive), kView));
      if (!entries_.contains(id) && !making_.contains(id)) strays.push_back(info.name);
    }
  }
  return RemoveNames(strays);
}

Status RemoteSnapshots::Collect() {
  RETURN_IF_ERROR(RemoveStrays());
  RemoveWaiting();
  if (!removed_.exchange(false)) return OkStatus();
  Status collected = remote_.Collect();
  if (!collected.ok()) removed_ = true;
  return collected;
}

StatusOr<std::vector<std::string>> RemoteSnapshots::List() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<size_t, std::string>> found;
  for (const auto& [id, entry] : entries_) {
    size_t height = 0;
    for (auto it = entries_.find(entry->parent); it != entries_.end();
         it = entries_.find(it->second->parent)) {
      ++height;
    }
    found.emplace_back(height, id);
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  std::vector<std::string> ids;
  for (auto& [height, id] : found) ids.push_back(std::move(id));
  return ids;
}

}  // namespace

StatusOr<std::unique_ptr<SnapshotStore>> OpenRemoteSnapshots(Snapshotter& snapshotter,
                                                             const std::string& temp_dir) {
  auto store = std::make_unique<RemoteSnapshots>(snapshotter, temp_dir);
  RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<SnapshotStore>(std::move(store));
}

}  // namespace kiln::cache
