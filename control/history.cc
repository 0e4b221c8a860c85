#include "control/history.h"

#include "base/log.h"
#include "base/strings.h"
#include "cache/database.h"
#include "cache/ref_store.h"

namespace kiln::control {
namespace {

constexpr std::string_view kSchema[] = {
    "CREATE TABLE build_history (ref TEXT PRIMARY KEY, created INTEGER NOT NULL,"
    " completed INTEGER NOT NULL, pinned INTEGER NOT NULL, body BLOB NOT NULL,"
    " blobs TEXT NOT NULL) WITHOUT ROWID;"};

std::string JoinBlobs(const std::vector<Digest>& blobs) {
  std::vector<std::string> texts;
  for (const Digest& blob : blobs) texts.push_back(blob.text());
  return StrJoin(texts, " ");
}

std::vector<Digest> SplitBlobs(std::string_view text) {
  std::vector<Digest> blobs;
  for (std::string_view part : StrSplit(text, ' ')) {
    if (StatusOr<Digest> digest = Digest::Parse(part); digest.ok()) blobs.push_back(*digest);
  }
  return blobs;
}

std::string OwnerOf(std::string_view ref) { return StrCat("history/", ref); }

Status NotFoundRef(std::string_view ref) {
  return NotFoundError(StrCat("failed to get ref ", ref, ": not found"));
}

}  // namespace

StatusOr<std::unique_ptr<History>> History::Open(cache::Database& database, HistoryLimits limits,
                                                 cache::RefStore* refs) {
  RETURN_IF_ERROR(database.Migrate("history", kSchema));
  auto history = std::unique_ptr<History>(new History(database, limits, refs));
  RETURN_IF_ERROR(history->Trim());
  return history;
}

void History::Publish(const HistoryEvent& event) {
  std::lock_guard lock(mutex_);
  for (Listener* listener : listeners_) {
    listener->queue.push_back(event);
  }
  wake_.notify_all();
}

void History::Start(HistoryRecord record) {
  HistoryEvent event{HistoryEventType::kStarted, record};
  {
    std::lock_guard lock(mutex_);
    active_[record.ref] = std::move(record);
  }
  Publish(event);
}

Status History::Store(const HistoryRecord& record) {
  std::string blobs = JoinBlobs(record.blobs);
  return database_.Write([&](cache::Statements& statements) {
    return statements.Run(
        "INSERT OR REPLACE INTO build_history (ref, created, completed, pinned, body, blobs)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        {std::string_view(record.ref), record.created.nanos, record.completed.nanos,
         int64_t{record.pinned}, cache::SqlBlob{record.body}, std::string_view(blobs)});
  });
}

Status History::Complete(HistoryRecord record) {
  bool wanted = true;
  {
    std::lock_guard lock(mutex_);
    active_.erase(record.ref);
    wanted = deleted_.erase(record.ref) == 0;
  }
  if (!wanted) {
    return OkStatus();
  }
  if (refs_ != nullptr) RETURN_IF_ERROR(refs_->KeepBlobs(OwnerOf(record.ref), record.blobs));
  RETURN_IF_ERROR(Store(record));
  auto later = std::exchange(record.later, nullptr);
  std::string ref = record.ref;
  Publish({HistoryEventType::kComplete, std::move(record)});
  if (later != nullptr) {
    finisher_.Add(ref, [this, ref, later = std::move(later)] {
      Status done = Update(ref, later);
      if (done.ok() || IsNotFound(done)) return;
      log::Warning("a build's record is not complete",
                   {{"ref", ref}, {"error", std::string(done.message())}});
    });
  }
  return Trim();
}

StatusOr<std::vector<HistoryRecord>> History::Stored(std::string_view ref) {
  std::vector<HistoryRecord> records;
  Status status = database_.Read([&](cache::Statements& statements) {
    return statements.Query(
        "SELECT ref, created, completed, pinned, body, blobs FROM build_history"
        " WHERE ?1 = '' OR ref = ?1 ORDER BY created",
        {ref}, [&](const cache::Row& row) {
          records.push_back({std::string(row.Text(0)), Time{row.Int(1)}, Time{row.Int(2)},
                             row.Int(3) != 0, std::string(row.Text(4)), SplitBlobs(row.Text(5)),
                             {}});
          return OkStatus();
        });
  });
  RETURN_IF_ERROR(status);
  return records;
}

StatusOr<HistoryRecord> History::Get(std::string_view ref) {
  {
    std::lock_guard lock(mutex_);
    if (auto found = active_.find(ref); found != active_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(std::vector<HistoryRecord> records, Stored(ref));
  if (ref.empty() || records.empty()) return NotFoundRef(ref);
  return records[0];
}

Status History::Update(std::string_view ref,
                       const std::function<Status(HistoryRecord&)>& change) {
  ASSIGN_OR_RETURN(std::vector<HistoryRecord> records, Stored(ref));
  if (ref.empty() || records.empty()) return NotFoundRef(ref);
  RETURN_IF_ERROR(change(records[0]));
  if (refs_ != nullptr) RETURN_IF_ERROR(refs_->KeepBlobs(OwnerOf(ref), records[0].blobs));
  RETURN_IF_ERROR(Store(records[0]));
  Publish({HistoryEventType::kComplete, std::move(records[0])});
  return OkStatus();
}

Status History::Remove(std::string_view ref, bool* existed) {
  RETURN_IF_ERROR(database_.Write([&](cache::Statements& statements) {
    RETURN_IF_ERROR(statements.Run("DELETE FROM build_history WHERE ref = ?", {ref}));
    *existed = statements.changes() > 0;
    return OkStatus();
  }));
  if (*existed) DropBlobs(ref);
  return OkStatus();
}

void History::DropBlobs(std::string_view ref) {
  if (refs_ == nullptr) return;
  Status dropped = refs_->DropBlobs(OwnerOf(ref));
  // No record has such an id: nothing is pruned, but blobs that nobody names go.
  if (dropped.ok()) dropped = refs_->Prune({.filters = {"id==none"}}, [](const auto&) {});
  if (!dropped.ok()) log::Warning("blobs of the history stay", {{"error", dropped.message()}});
}

Status History::Delete(std::string_view ref) {
  HistoryEvent event{HistoryEventType::kDeleted, {}};
  event.record.ref = std::string(ref);
  bool active = false;
  {
    std::lock_guard lock(mutex_);
    active = active_.contains(ref);
    bool watched = watched_.contains(ref);
    if (active || watched) deleted_.insert(std::string(ref));
    if (watched) return OkStatus();
  }
  bool existed = false;
  RETURN_IF_ERROR(Remove(ref, &existed));
  // Listeners hear of it either way, as from the reference.
  Publish(event);
  if (existed || active) return OkStatus();
  return NotFoundError(StrCat("lease \"ref_", ref, "\": not found"));
}

// The last one who looked at a record that is not wanted takes it along.
Status History::Leave(std::string_view ref) {
  {
    std::lock_guard lock(mutex_);
    auto watched = watched_.find(ref);
    if (--watched->second > 0) return OkStatus();
    watched_.erase(watched);
    if (!deleted_.contains(ref) || active_.contains(ref)) return OkStatus();
    deleted_.erase(deleted_.find(ref));
  }
  Status deleted = Delete(ref);
  return deleted.code() == StatusCode::kNotFound ? OkStatus() : deleted;
}

Status History::SendExisting(const ListenOptions& options,
                             const std::function<Status(const HistoryEvent&)>& send) {
  std::vector<HistoryEvent> events;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [ref, record] : active_) {
      if ((options.ref.empty() || options.ref == ref) && !deleted_.contains(ref)) {
        events.push_back({HistoryEventType::kStarted, record});
      }
    }
  }
  if (!options.active_only) {
    ASSIGN_OR_RETURN(std::vector<HistoryRecord> records, Stored(options.ref));
    std::vector<HistoryEvent> finished;
    for (HistoryRecord& record : records) {
      std::lock_guard lock(mutex_);
      if (deleted_.contains(record.ref)) continue;
      finished.push_back({HistoryEventType::kComplete, std::move(record)});
    }
    if (options.select) {
      ASSIGN_OR_RETURN(finished, options.select(std::move(finished)));
    }
    for (HistoryEvent& event : finished) events.push_back(std::move(event));
  }
  for (const HistoryEvent& event : events) {
    RETURN_IF_ERROR(send(event));
  }
  return OkStatus();
}

Status History::Listen(const ListenOptions& options, std::stop_token stop,
                       const std::function<Status(const HistoryEvent&)>& send) {
  Listener listener;
  {
    // Before the existing ones are read, so that nothing falls between.
    std::lock_guard lock(mutex_);
    if (!options.ref.empty() && deleted_.contains(options.ref)) {
      return NotFoundError(StrCat("ref ", options.ref, " is deleted: file does not exist"));
    }
    listeners_.insert(&listener);
    if (!options.ref.empty()) ++watched_[options.ref];
  }
  Status status = SendExisting(options, send);
  while (status.ok() && !options.early_exit) {
    HistoryEvent event;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [&] { return !listener.queue.empty(); })) {
        status = CancelledError("context canceled");
        break;
      }
      event = std::move(listener.queue.front());
      listener.queue.pop_front();
    }
    if (options.ref.empty() || options.ref == event.record.ref) {
      status = send(event);
    }
  }
  {
    std::lock_guard lock(mutex_);
    listeners_.erase(&listener);
  }
  if (!options.ref.empty()) {
    Status left = Leave(options.ref);
    if (status.ok()) status = std::move(left);
  }
  return status;
}

Status History::Trim() {
  int64_t oldest = Now().nanos - limits_.max_age;
  std::vector<std::string> gone;
  RETURN_IF_ERROR(database_.Write([&](cache::Statements& statements) {
    // Few ones stay however old they are, and young ones however many.
    RETURN_IF_ERROR(statements.Query(
        "SELECT ref FROM (SELECT ref, completed, row_number() OVER (ORDER BY completed DESC)"
        " AS place FROM build_history WHERE pinned = 0) WHERE place > ? AND completed < ?",
        {limits_.max_entries, oldest}, [&](const cache::Row& row) {
          gone.emplace_back(row.Text(0));
          return OkStatus();
        }));
    for (const std::string& ref : gone) {
      RETURN_IF_ERROR(statements.Run("DELETE FROM build_history WHERE ref = ?",
                                     {std::string_view(ref)}));
    }
    return OkStatus();
  }));
  for (const std::string& ref : gone) {
    DropBlobs(ref);
    HistoryEvent event{HistoryEventType::kDeleted, {}};
    event.record.ref = ref;
    Publish(event);
  }
  return OkStatus();
}

StatusOr<std::set<Digest>> History::Blobs() {
  std::set<Digest> blobs;
  Status status = database_.Read([&](cache::Statements& statements) {
    return statements.Query("SELECT blobs FROM build_history", {}, [&](const cache::Row& row) {
      for (Digest& blob : SplitBlobs(row.Text(0))) blobs.insert(std::move(blob));
      return OkStatus();
    });
  });
  RETURN_IF_ERROR(status);
  return blobs;
}

}  // namespace kiln::control
