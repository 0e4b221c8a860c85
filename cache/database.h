// Database: the one SQLite file of a state directory.
//
// One writer thread groups waiting writes into one transaction; readers see WAL
// snapshots and never wait. What the tables mean is known to their owners, who
// bring them with Migrate: cache/index (keys), RefStore (records), control (history).
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"

struct sqlite3_stmt;

namespace kiln::cache {

struct SqlBlob {
  std::string_view bytes;
};
// One bound parameter. Texts and blobs need to live only until the call returns.
using SqlValue = std::variant<std::nullptr_t, int64_t, std::string_view, SqlBlob>;

// A row of a running query; valid inside the callback only.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  bool IsNull(int column) const;
  int64_t Int(int column) const;            // 0 for NULL
  std::string_view Text(int column) const;  // texts and blobs; "" for NULL

 private:
  sqlite3_stmt* statement_;
};

// One connection inside a transaction. Statements are prepared once per
// connection and kept, so `sql` should be a literal. Not thread-safe; used only
// inside the callback that got it. Not re-entrant per `sql` text.
class Statements {
 public:
  virtual ~Statements() = default;
  virtual Status Run(std::string_view sql, std::initializer_list<SqlValue> values = {}) = 0;
  // `row` may stop the query with an error, which is returned.
  virtual Status Query(std::string_view sql, std::initializer_list<SqlValue> values,
                       const std::function<Status(const Row&)>& row) = 0;
  virtual int64_t changes() const = 0;         // rows changed by the last Run
  virtual int64_t last_insert_id() const = 0;
};

// Thread-safe. SQLite's failures come back as UNAVAILABLE (busy),
// RESOURCE_EXHAUSTED (disk full), DATA_LOSS (corrupt) or INTERNAL.
class Database {
 public:
  using Work = std::function<Status(Statements&)>;

  // Makes the file and its folder if needed. DATA_LOSS if it is no database.
  static StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  virtual ~Database() = default;  // writes what is queued, then closes

  // Brings the tables of `component` up to date: step i leads from version i to
  // i+1; each may hold several statements. FAILED_PRECONDITION if the file was
  // written by a later version.
  virtual Status Migrate(std::string_view component, std::span<const std::string_view> steps) = 0;

  // Runs `work` on the writer thread and waits for the commit. If `work` fails,
  // only its own changes are rolled back. Safe against the end of the process.
  virtual Status Write(Work work) = 0;
  // The same without waiting. `work` must own what it uses. The future may be dropped.
  virtual std::future<Status> WriteLater(Work work) = 0;
  // In order like the others, but committed together with the next write of the two kinds
  // above, or after some milliseconds: for what nobody waits for.
  virtual void WriteSoon(Work work) = 0;
  // Waits for all earlier writes; with `durable` also for the disk (power loss).
  virtual Status Flush(bool durable = false) = 0;

  // Runs `work` in a read transaction on the caller's thread.
  virtual Status Read(const Work& work) = 0;

  // SQLite's quick_check. DATA_LOSS with its first complaint.
  virtual Status CheckIntegrity() = 0;
  // Bytes of the file and its log on disk.
  virtual int64_t DiskBytes() = 0;
};

}  // namespace kiln::cache
