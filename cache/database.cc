// The writer thread, the pool of readers, and migrations. See database.h.
#include "cache/database.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/file.h"
#include "cache/connection.h"

namespace kiln::cache {
namespace {

// Above this many writes in one transaction latency grows more than is saved.
constexpr size_t kMaxBatch = 512;
// How long a write that nobody waits for may wait for company.
constexpr std::chrono::milliseconds kLinger{200};

class SqliteDatabase : public Database {
 public:
  explicit SqliteDatabase(std::string path) : path_(std::move(path)) {}
  ~SqliteDatabase() override;
  Status Start();

  Status Migrate(std::string_view component, std::span<const std::string_view> steps) override;
  Status Write(Work work) override { return WriteLater(std::move(work)).get(); }
  std::future<Status> WriteLater(Work work) override { return Queue(std::move(work), true); }
  void WriteSoon(Work work) override { Queue(std::move(work), false); }
  Status Flush(bool durable) override;
  Status Read(const Work& work) override;
  Status CheckIntegrity() override;
  int64_t DiskBytes() override;

 private:
  struct Job {
    Work work;
    std::promise<Status> done;
  };
  std::future<Status> Queue(Work work, bool urgent);
  void WriterLoop();
  void RunBatch(std::deque<Job>& batch);
  StatusOr<std::unique_ptr<Connection>> TakeReader();

  const std::string path_;
  std::unique_ptr<Connection> writer_;  // writer thread only, once that runs

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool urgent_ = false;  // one in the queue is
  bool closing_ = false;
  std::vector<std::unique_ptr<Connection>> idle_readers_;

  std::thread thread_;
};

Status SqliteDatabase::Start() {
  RETURN_IF_ERROR(MakeDirs(DirName(path_), 0711));
  ASSIGN_OR_RETURN(writer_, Connection::Open(path_, true));
  RETURN_IF_ERROR(writer_->Script(
      "CREATE TABLE IF NOT EXISTS schema_version("
      "component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;"));
  thread_ = std::thread([this] { WriterLoop(); });
  return OkStatus();
}

SqliteDatabase::~SqliteDatabase() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::future<Status> SqliteDatabase::Queue(Work work, bool urgent) {
  Job job{std::move(work), {}};
  std::future<Status> done = job.done.get_future();
  bool wake = urgent;
  {
    std::lock_guard lock(mutex_);
    wake = wake || queue_.empty() || queue_.size() + 1 == kMaxBatch;
    queue_.push_back(std::move(job));
    urgent_ = urgent_ || urgent;
  }
  if (wake) wake_.notify_one();
  return done;
}

void SqliteDatabase::WriterLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    wake_.wait_for(lock, kLinger,
                   [&] { return closing_ || urgent_ || queue_.size() >= kMaxBatch; });
    std::deque<Job> batch;
    while (!queue_.empty() && batch.size() < kMaxBatch) {
      batch.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    urgent_ = urgent_ && !queue_.empty();
    lock.unlock();
    RunBatch(batch);
    batch.clear();
    lock.lock();
  }
}

// Each write has a savepoint of its own, so that one failure does not take the
// others of the batch with it. Only the commit makes any of them true.
void SqliteDatabase::RunBatch(std::deque<Job>& batch) {
  std::vector<Status> results(batch.size());
  Status begun = writer_->Run("BEGIN IMMEDIATE");
  for (size_t i = 0; begun.ok() && i < batch.size(); ++i) {
    results[i] = writer_->Run("SAVEPOINT one");
    if (!results[i].ok()) continue;
    results[i] = batch[i].work(*writer_);
    if (!results[i].ok()) writer_->Run("ROLLBACK TO one").IgnoreError();
    if (Status released = writer_->Run("RELEASE one"); results[i].ok()) results[i] = released;
  }
  Status committed = begun.ok() ? writer_->Run("COMMIT") : begun;
  if (!committed.ok() && writer_->in_transaction()) writer_->Run("ROLLBACK").IgnoreError();
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].work = {};  // what it captured goes before anybody hears of the end
    batch[i].done.set_value(results[i].ok() ? committed : results[i]);
  }
}

Status SqliteDatabase::Flush(bool durable) {
  RETURN_IF_ERROR(Write([](Statements&) { return OkStatus(); }));
  if (!durable) return OkStatus();
  StatusOr<UniqueFd> wal = OpenFile(path_ + "-wal", O_RDONLY);
  if (!wal.ok()) return IsNotFound(wal.status()) ? OkStatus() : wal.status();
  return ::fdatasync(wal->get()) == 0 ? OkStatus() : ErrnoStatus(errno, StrCat("sync ", path_));
}

StatusOr<std::unique_ptr<Connection>> SqliteDatabase::TakeReader() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_readers_.empty()) {
      std::unique_ptr<Connection> reader = std::move(idle_readers_.back());
      idle_readers_.pop_back();
      return reader;
    }
  }
  return Connection::Open(path_, false);
}

Status SqliteDatabase::Read(const Work& work) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> reader, TakeReader());
  Status status = reader->Run("BEGIN");
  if (status.ok()) {
    status = work(*reader);
    Status ended = reader->Run("COMMIT");
    if (status.ok()) status = ended;
  }
  if (!reader->in_transaction()) {
    std::lock_guard lock(mutex_);
    idle_readers_.push_back(std::move(reader));
  }
  return status;
}

Status SqliteDatabase::Migrate(std::string_view component,
                               std::span<const std::string_view> steps) {
  return Write([&](Statements& statements) -> Status {
    auto& connection = static_cast<Connection&>(statements);
    int64_t version = 0;
    RETURN_IF_ERROR(connection.Query("SELECT version FROM schema_version WHERE component=?",
                                     {component}, [&](const Row& row) {
                                       version = row.Int(0);
                                       return OkStatus();
                                     }));
    auto wanted = static_cast<int64_t>(steps.size());
    if (version > wanted) {
      return FailedPreconditionError(StrCat("database ", path_, ": ", component, " has version ",
                                            version, ", this program knows ", wanted));
    }
    for (int64_t step = version; step < wanted; ++step) {
      RETURN_IF_ERROR(Annotate(connection.Script(steps[static_cast<size_t>(step)]),
                               StrCat("migrating ", component, " to ", step + 1)));
    }
    return connection.Run("INSERT OR REPLACE INTO schema_version VALUES(?,?)",
                          {component, wanted});
  });
}

Status SqliteDatabase::CheckIntegrity() {
  return Read([&](Statements& statements) {
    return statements.Query("PRAGMA quick_check(1)", {}, [&](const Row& row) {
      return row.Text(0) == "ok" ? OkStatus()
                                 : DataLossError(StrCat("database ", path_, ": ", row.Text(0)));
    });
  });
}

int64_t SqliteDatabase::DiskBytes() {
  int64_t bytes = 0;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat st{};
    if (::stat((path_ + suffix).c_str(), &st) == 0) bytes += int64_t{st.st_blocks} * 512;
  }
  return bytes;
}

}  // namespace

StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  auto database = std::make_unique<SqliteDatabase>(path);
  RETURN_IF_ERROR(database->Start());
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace kiln::cache
