// Usage, prune, and the sweep of blobs that no record names.
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/file.h"
#include "base/filter.h"
#include "base/log.h"
#include "cache/content/blob_shelf.h"
#include "cache/gc_policy.h"
#include "cache/ref_core.h"

namespace kiln::cache {
namespace {

// How many trees wait for one write of the database.
constexpr size_t kTreesAtOnce = 64;

StatusOr<Filter> ParseFilters(std::string_view what, const std::vector<std::string>& filters) {
  StatusOr<Filter> filter = Filter::ParseAll(filters);
  if (filter.ok()) return filter;
  return Annotate(filter.status(),
                  StrCat("failed to parse ", what, " filters [", StrJoin(filters, " "), "]"));
}

bool Matches(const Filter& filter, const UsageRecord& record) {
  return filter.Match([&](std::span<const std::string> path) -> std::optional<std::string> {
    auto text = [](const std::string& value) {
      return value.empty() ? std::nullopt : std::optional(value);
    };
    auto flag = [](bool set) { return set ? std::optional<std::string>("") : std::nullopt; };
    const std::string& field = path[0];
    if (field == "id") return text(record.id);
    if (field == "parents") return text(StrJoin(record.parents, ";"));
    if (field == "description") return text(record.description);
    if (field == "inuse") return flag(record.in_use);
    if (field == "mutable") return flag(record.is_mutable);
    if (field == "immutable") return flag(!record.is_mutable);
    if (field == "type") return text(std::string(RecordTypeText(record.type)));
    if (field == "shared") return flag(record.shared);
    if (field == "private") return flag(!record.shared);
    return std::nullopt;
  });
}

UsageRecord Describe(const Record& record) {
  UsageRecord usage;
  usage.id = record.row.id;
  // A step's tree on which nothing is built and which nobody exported counts as still
  // open, as in the reference.
  const RecordRow& row = record.row;
  bool open = row.kind == RecordKind::kLayer && row.extracted && !row.blob &&
              row.equal.empty() && !record.built_upon;
  usage.is_mutable = row.is_mutable || open;
  usage.in_use = record.leases > 0;
  for (const std::string& parent : record.row.parents) {
    if (!parent.empty()) usage.parents.push_back(parent);
  }
  usage.created = record.row.created;
  usage.last_used = record.row.last_used;
  usage.usage_count = record.row.usage_count;
  usage.description = record.row.description;
  usage.type = record.row.type;
  return usage;
}

// The order in which the reference gives things up: long unused and seldom used
// first, both by rank, so that neither outweighs the other.
struct Candidate {
  RecordPtr record;
  Time last_used;
  int64_t usage_count = 0;
  double recency = 1;
  double frequency = 1;
};

void SortForRemoval(std::vector<Candidate>& candidates) {
  auto by = [&](auto less) { std::stable_sort(candidates.begin(), candidates.end(), less); };
  by([](const Candidate& a, const Candidate& b) { return a.last_used < b.last_used; });
  double rank = 1;
  Time last;
  for (Candidate& one : candidates) {
    if (one.last_used.set() && one.last_used > last) {
      last = one.last_used;
      ++rank;
    }
    one.recency = rank;
  }
  double max_recency = rank;
  by([](const Candidate& a, const Candidate& b) { return a.usage_count < b.usage_count; });
  rank = 1;
  int64_t count = 0;
  for (Candidate& one : candidates) {
    if (one.usage_count != count) {
      count = one.usage_count;
      ++rank;
    }
    one.frequency = rank;
  }
  double max_frequency = rank;
  by([&](const Candidate& a, const Candidate& b) {
    return a.recency / max_recency + a.frequency / max_frequency <
           b.recency / max_recency + b.frequency / max_frequency;
  });
}

// What a prune was told to do, for those who ask later where a record went.
std::string RuleText(const PruneOptions& options) {
  std::string text = options.all ? "prune of everything" : "prune";
  auto add = [&](std::string_view what, const std::string& value) {
    text += StrCat(", ", what, " ", value);
  };
  if (!options.filters.empty()) add("filter", StrJoin(options.filters, " or "));
  if (options.keep_duration_nanos != 0) {
    add("unused for", StrCat(options.keep_duration_nanos / 1'000'000'000, "s"));
  }
  if (options.reserved_bytes != 0) add("down to", StrCat(options.reserved_bytes, " bytes"));
  if (options.max_used_bytes != 0) add("above", StrCat(options.max_used_bytes, " bytes"));
  if (options.min_free_bytes != 0) add("to free", StrCat(options.min_free_bytes, " bytes"));
  return text;
}

}  // namespace

StatusOr<std::vector<UsageRecord>> RefCore::UsageOfAll(bool exact) {
  std::vector<std::pair<RecordPtr, UsageRecord>> found;
  {
    std::lock_guard lock(mutex_);
    std::unordered_set<const Record*> used;
    std::function<void(const Record*)> mark = [&](const Record* record) {
      if (record == nullptr || !used.insert(record).second) return;
      for (const RecordPtr& parent : record->parents) mark(parent.get());
    };
    for (const auto& [id, record] : records_) {
      if (record->leases > 0) mark(record.get());
    }
    for (const auto& [id, record] : records_) {
      // Of two records that share their files one is shown.
      if (auto equal = records_.find(record->row.equal); equal != records_.end()) {
        const Record& frozen = record->row.is_mutable ? *equal->second : *record;
        bool frozen_used = frozen.leases > 0 || frozen.children > 0;
        if (record->row.is_mutable == frozen_used) continue;
      }
      UsageRecord usage = Describe(*record);
      usage.in_use = used.contains(record.get());
      found.emplace_back(record, std::move(usage));
    }
  }
  std::vector<UsageRecord> all;
  for (auto& [record, usage] : found) {
    // The size of a tree that is being written cannot be told.
    bool changing = usage.in_use && RowOf(record).is_mutable;
    StatusOr<DiskUsage> size = changing ? DiskUsage() : SizeOf(record, exact);
    usage.size = size.ok() ? size->bytes : 0;
    all.push_back(std::move(usage));
  }
  return all;
}

StatusOr<std::vector<UsageRecord>> RefCore::Usage(const std::vector<std::string>& filters) {
  ASSIGN_OR_RETURN(Filter filter, ParseFilters("diskusage", filters));
  ASSIGN_OR_RETURN(std::vector<UsageRecord> all, UsageOfAll(true));
  std::erase_if(all, [&](const UsageRecord& record) { return !Matches(filter, record); });
  return all;
}

// Removes the records of a batch that nothing uses; without a limit all that may go
// now, with one the first in line. Parents come free in the next round. The trees
// are the caller's to remove.
StatusOr<int64_t> RefCore::PruneOnce(const PruneOptions& options, const Filter& filter,
                                     int64_t keep_bytes, int64_t total,
                                     const std::function<void(const UsageRecord&)>& removed,
                                     std::vector<std::string>* snapshots) {
  if (keep_bytes != 0 && total < keep_bytes) return int64_t{-1};
  Time cutoff{Now().nanos - options.keep_duration_nanos};
  std::vector<Candidate> candidates;
  RefStore::RemoveCallback on_remove;
  {
    std::lock_guard lock(mutex_);
    on_remove = on_remove_;
    for (const auto& [id, record] : records_) {
      const RecordRow& row = record->row;
      if (record->leases > 0 || record->children > 0) continue;
      if (auto equal = records_.find(row.equal); equal != records_.end()) {
        const Record& other = *equal->second;
        if (!row.is_mutable || other.leases > 0 || other.children > 0) continue;
      }
      if (!options.all &&
          (row.type == RecordType::kInternal || row.type == RecordType::kFrontend)) {
        continue;
      }
      if (options.keep_duration_nanos != 0 && row.last_used.set() && row.last_used > cutoff) {
        continue;
      }
      if (!options.filters.empty() && !Matches(filter, Describe(*record))) continue;
      candidates.push_back({record, row.last_used, row.usage_count});
    }
  }
  if (keep_bytes != 0 && !candidates.empty()) {
    SortForRemoval(candidates);
    candidates.resize(1);
  }
  int64_t freed = 0;
  int removed_count = 0;
  const std::string rule = RuleText(options);
  for (const Candidate& candidate : candidates) {
    StatusOr<DiskUsage> size = SizeOf(candidate.record);
    std::vector<std::string> ids;
    std::string snapshot;
    UsageRecord usage;
    {
      std::lock_guard lock(mutex_);
      const RecordPtr& record = candidate.record;
      // Somebody may have taken it since.
      if (record->dead || record->leases > 0 || record->children > 0) continue;
      auto equal = records_.find(record->row.equal);
      if (equal != records_.end() && (equal->second->leases > 0 || equal->second->children > 0)) {
        continue;
      }
      usage = Describe(*record);
      ids.push_back(record->row.id);
      if (equal != records_.end()) {
        ids.push_back(equal->second->row.id);
        RemoveLocked(equal->second);
      }
      snapshot = RemoveLocked(record);
    }
    if (on_remove) {
      for (const std::string& id : ids) on_remove(id, rule);
    }
    if (!snapshot.empty()) snapshots->push_back(std::move(snapshot));
    usage.size = size.ok() ? size->own : 0;
    freed += usage.size;
    // What it shared becomes the others' own.
    if (size.ok() && size->shares()) RETURN_IF_ERROR(RemoveTrees(snapshots));
    ++removed_count;
    if (removed) removed(usage);
  }
  return removed_count == 0 ? int64_t{-1} : freed;
}

// Trees whose records are gone. Rows first: a row without files is worse than the reverse.
Status RefCore::RemoveTrees(std::vector<std::string>* snapshots) {
  RETURN_IF_ERROR(table.Flush());
  Status first;
  for (const std::string& snapshot : *snapshots) {
    Status removed = snapshots_->Remove(snapshot);
    if (first.ok()) first = removed;
  }
  snapshots->clear();
  ++link_changes_;
  return first;
}

Status RefCore::Prune(const PruneOptions& options,
                      const std::function<void(const UsageRecord&)>& removed) {
  std::lock_guard prune(prune_mutex_);
  int64_t total = 0;
  DiskSpace disk;
  if (options.max_used_bytes != 0 || options.reserved_bytes != 0 || options.min_free_bytes != 0) {
    ASSIGN_OR_RETURN(std::vector<UsageRecord> all, UsageOfAll(false));
    for (const UsageRecord& record : all) total += record.shared ? 0 : record.size;
    ASSIGN_OR_RETURN(disk, DiskSpaceOf(options_.root));
  }
  int64_t keep = KeepBytes(total, disk, options);
  ASSIGN_OR_RETURN(Filter filter, ParseFilters("prune", options.filters));
  std::vector<std::string> snapshots;
  for (;;) {
    ASSIGN_OR_RETURN(int64_t freed, PruneOnce(options, filter, keep, total, removed, &snapshots));
    if (freed < 0) break;
    total -= freed;
    if (snapshots.size() >= kTreesAtOnce) RETURN_IF_ERROR(RemoveTrees(&snapshots));
  }
  RETURN_IF_ERROR(RemoveTrees(&snapshots));
  RETURN_IF_ERROR(SweepBlobs());
  return snapshots_->Collect();
}

Status RefCore::SweepBlobs() {
  ASSIGN_OR_RETURN(std::vector<Digest> kept, table.KeptBlobs());
  std::unordered_set<std::string> live;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, record] : records_) {
      if (record->row.blob) live.insert(record->row.blob->digest.text());
      for (const oci::Descriptor& blob : record->row.variants) live.insert(blob.digest.text());
    }
  }
  std::set<Digest> only_kept;
  for (const Digest& blob : kept) {
    if (live.insert(blob.text()).second) only_kept.insert(blob);
  }
  if (auto* shelf = dynamic_cast<BlobShelf*>(&content)) {
    RETURN_IF_ERROR(shelf->Shelve(std::move(only_kept)));
  }
  return content.Sweep([&](const Digest& digest) { return live.contains(digest.text()); }).status();
}

}  // namespace kiln::cache
