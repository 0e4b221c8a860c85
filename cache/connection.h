// Connection: one SQLite connection with its prepared statements. Internal to Database.
#pragma once

#include <sqlite3.h>

#include <map>
#include <memory>
#include <string>

#include "cache/database.h"

namespace kiln::cache {

// Status of a SQLite result code, "what: SQLite's message".
Status SqliteStatus(int code, std::string_view what, sqlite3* db);

// Not thread-safe.
class Connection : public Statements {
 public:
  static StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, bool writable);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Status Run(std::string_view sql, std::initializer_list<SqlValue> values = {}) override;
  Status Query(std::string_view sql, std::initializer_list<SqlValue> values,
               const std::function<Status(const Row&)>& row) override;
  int64_t changes() const override { return sqlite3_changes64(db_); }
  int64_t last_insert_id() const override { return sqlite3_last_insert_rowid(db_); }
  // Several statements, not kept.
  Status Script(std::string_view sql);
  bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

 private:
  Connection() = default;
  StatusOr<sqlite3_stmt*> Prepare(std::string_view sql);

  sqlite3* db_ = nullptr;
  std::map<std::string, sqlite3_stmt*, std::less<>> prepared_;
};

}  // namespace kiln::cache
