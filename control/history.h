// History: records of builds, running and finished, and who listens for them.
//
// A record's body is the serialised moby.buildkit.v1.BuildHistoryRecord, opaque
// here; api/server makes and reads it. Finished builds are rows of the database;
// running ones live in memory and are gone with the process.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <condition_variable>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "base/time.h"
#include "control/history_finisher.h"

namespace kiln::cache {
class Database;
class RefStore;
}

namespace kiln::control {

enum class HistoryEventType { kStarted = 0, kComplete = 1, kDeleted = 2 };

struct HistoryRecord {
  std::string ref;
  Time created;
  Time completed;                // unset while it runs
  bool pinned = false;
  std::string body;              // serialised message
  std::vector<Digest> blobs;     // logs, traces, attestations: kept as long as the record
  // A change for some seconds after the end (see history_finisher.h); not stored.
  std::function<Status(HistoryRecord&)> later = {};
};

struct HistoryEvent {
  HistoryEventType type = HistoryEventType::kStarted;
  HistoryRecord record;
};

struct HistoryLimits {
  int64_t max_age = int64_t{48} * 3600 * 1'000'000'000;  // nanoseconds; pinned records stay
  int64_t max_entries = 50;
};

struct ListenOptions {
  std::string ref = {};
  bool active_only = false;
  bool early_exit = false;
  // Applied to the finished records (filters and limit of the request); null: all.
  std::function<StatusOr<std::vector<HistoryEvent>>(std::vector<HistoryEvent>)> select = {};
};

// Thread-safe. Blocking (database), so not for reactions of the gRPC server.
class History {
 public:
  // `refs` keeps the blobs that records name; null in tests without blobs.
  static StatusOr<std::unique_ptr<History>> Open(cache::Database& database, HistoryLimits limits,
                                                 cache::RefStore* refs = nullptr);

  // A running build. Listeners see it as STARTED.
  void Start(HistoryRecord record);
  // The build is over: the record is stored, then listeners see COMPLETE.
  Status Complete(HistoryRecord record);

  StatusOr<HistoryRecord> Get(std::string_view ref);  // NOT_FOUND, running builds too
  // Replaces a finished record after `change`; listeners see COMPLETE again. NOT_FOUND.
  Status Update(std::string_view ref, const std::function<Status(HistoryRecord&)>& change);
  // Makes the change of HistoryRecord::later now, if it is still to come.
  void Finalize(std::string_view ref) { finisher_.Finish(ref); }
  // Deletes at once, its blobs as well; a running build's record is dropped when it ends,
  // and one that is listened for when the last listener goes.
  Status Delete(std::string_view ref);

  // Existing records, then (unless early_exit) events until `stop` or until `send` fails.
  Status Listen(const ListenOptions& options, std::stop_token stop,
                const std::function<Status(const HistoryEvent&)>& send);

  // Drops what is both older and more than the limits allow.
  Status Trim();
  // Blobs that records name; a sweep of the content store must spare them.
  StatusOr<std::set<Digest>> Blobs();

 private:
  struct Listener {
    std::deque<HistoryEvent> queue;
  };
  History(cache::Database& database, HistoryLimits limits, cache::RefStore* refs)
      : database_(database), limits_(limits), refs_(refs) {}
  Status Remove(std::string_view ref, bool* existed);
  void DropBlobs(std::string_view ref);
  Status Leave(std::string_view ref);
  StatusOr<std::vector<HistoryRecord>> Stored(std::string_view ref);
  Status Store(const HistoryRecord& record);
  void Publish(const HistoryEvent& event);
  Status SendExisting(const ListenOptions& options,
                      const std::function<Status(const HistoryEvent&)>& send);

  cache::Database& database_;
  HistoryLimits limits_;
  cache::RefStore* refs_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, HistoryRecord, std::less<>> active_;
  std::set<std::string, std::less<>> deleted_;  // to go when they end, or when nobody looks
  std::map<std::string, int, std::less<>> watched_;  // listeners by ref
  std::set<Listener*> listeners_;
  HistoryFinisher finisher_{std::chrono::seconds(3)};  // last: it uses the others
};

}  // namespace kiln::control
