// Statements on one SQLite connection: prepare once, bind, step, reset.
#include "cache/connection.h"

namespace kiln::cache {
namespace {

int Bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return sqlite3_bind_int64(statement, index, *number);
  }
  // SQLITE_STATIC: the caller's bytes outlive the call. A null pointer would bind NULL.
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    const char* data = text->data() == nullptr ? "" : text->data();
    return sqlite3_bind_text64(statement, index, data, text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  if (const auto* blob = std::get_if<SqlBlob>(&value)) {
    const char* data = blob->bytes.data() == nullptr ? "" : blob->bytes.data();
    return sqlite3_bind_blob64(statement, index, data, blob->bytes.size(), SQLITE_STATIC);
  }
  return sqlite3_bind_null(statement, index);
}

// Leaves a kept statement ready for its next use, whatever happened.
struct ResetOnExit {
  sqlite3_stmt* statement;
  ~ResetOnExit() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }
};

}  // namespace

Status SqliteStatus(int code, std::string_view what, sqlite3* db) {
  std::string message =
      StrCat(what, ": ", db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return UnavailableError(std::move(message));
    case SQLITE_FULL:
      return ResourceExhaustedError(std::move(message));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLossError(std::move(message));
    case SQLITE_CONSTRAINT:
      return AlreadyExistsError(std::move(message));
    default:
      return InternalError(std::move(message));
  }
}

bool Row::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

int64_t Row::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Row::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, bool writable) {
  std::unique_ptr<Connection> connection(new Connection);
  // A reader needs write access too, for the shared memory of the WAL.
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writable ? SQLITE_OPEN_CREATE : 0);
  int code = sqlite3_open_v2(path.c_str(), &connection->db_, flags, nullptr);
  if (code != SQLITE_OK) return SqliteStatus(code, StrCat("open ", path), connection->db_);
  sqlite3_extended_result_codes(connection->db_, 1);
  sqlite3_busy_timeout(connection->db_, 10'000);
  RETURN_IF_ERROR(Annotate(connection->Script(writable ? "PRAGMA journal_mode=WAL;"
                                                         "PRAGMA synchronous=NORMAL;"
                                                         "PRAGMA foreign_keys=ON;"
                                                         "PRAGMA temp_store=MEMORY;"
                                                       : "PRAGMA query_only=ON;"
                                                         "PRAGMA temp_store=MEMORY;"),
                           StrCat("open ", path)));
  return connection;
}

Connection::~Connection() {
  for (auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

StatusOr<sqlite3_stmt*> Connection::Prepare(std::string_view sql) {
  if (auto it = prepared_.find(sql); it != prepared_.end()) return it->second;
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return SqliteStatus(code, "prepare", db_);
  prepared_.emplace(sql, statement);
  return statement;
}

Status Connection::Query(std::string_view sql, std::initializer_list<SqlValue> values,
                         const std::function<Status(const Row&)>& row) {
  ASSIGN_OR_RETURN(sqlite3_stmt * statement, Prepare(sql));
  ResetOnExit reset{statement};
  int index = 0;
  for (const SqlValue& value : values) {
    if (int code = Bind(statement, ++index, value); code != SQLITE_OK) {
      return SqliteStatus(code, "bind", db_);
    }
  }
  for (;;) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return OkStatus();
    if (code != SQLITE_ROW) return SqliteStatus(code, "step", db_);
    if (row) RETURN_IF_ERROR(row(Row(statement)));
  }
}

Status Connection::Run(std::string_view sql, std::initializer_list<SqlValue> values) {
  return Query(sql, values, {});
}

Status Connection::Script(std::string_view sql) {
  int code = sqlite3_exec(db_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? OkStatus() : SqliteStatus(code, "run", db_);
}

}  // namespace kiln::cache
