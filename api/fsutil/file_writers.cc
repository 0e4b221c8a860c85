// See file_writers.h.
#include "api/fsutil/file_writers.h"

#include <algorithm>
#include <utility>

namespace kiln::api {
namespace {

constexpr size_t kMaxWaiting = 16 << 20;
constexpr size_t kMaxHeld = 4 << 20;
// So many jobs are worth a wake-up at once.
constexpr size_t kManyJobs = 32;

}  // namespace

struct IncomingFile {
  IncomingEntry entry;
  size_t lane = 0;
  FileSink sink;
  std::unique_ptr<EntryHash> hash;
  std::string held;  // most files end after their first bytes: one job then
  bool open = false;
  bool begun = false;  // something was queued
};

FileWriters::FileWriters(const RootedTree& tree, const ReceiveOptions& options)
    : tree_(tree), options_(options) {
  size_t count = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 4);
  for (size_t i = 0; i < count; ++i) lanes_.push_back(std::make_unique<Lane>());
  for (auto& lane : lanes_) lane->thread = std::thread([this, &l = *lane] { Run(l); });
}

IncomingFilePtr FileWriters::Begin(IncomingEntry entry) {
  auto file = std::make_shared<IncomingFile>();
  file->entry = std::move(entry);
  file->lane = next_lane_++ % lanes_.size();
  return file;
}

void FileWriters::Append(const IncomingFilePtr& file, std::string bytes) {
  if (!file->begun && file->held.empty() && held_bytes_ + bytes.size() <= kMaxHeld) {
    held_bytes_ += bytes.size();
    file->held = std::move(bytes);
    return;
  }
  file->begun = true;
  if (!file->held.empty()) {
    held_bytes_ -= file->held.size();
    Queue({file, std::exchange(file->held, {}), false});
  }
  Queue({file, std::move(bytes), false});
}

void FileWriters::End(IncomingFilePtr file) {
  held_bytes_ -= file->held.size();
  std::string bytes = std::exchange(file->held, {});
  Queue({std::move(file), std::move(bytes), true});
}

void FileWriters::Queue(Job job) {
  std::unique_lock lock(mutex_);
  if (waiting_bytes_ >= kMaxWaiting) WakeLocked();
  room_.wait(lock, [this] { return waiting_bytes_ < kMaxWaiting || !failure_.ok(); });
  if (!failure_.ok()) return;
  waiting_bytes_ += job.bytes.size();
  ++waiting_jobs_;
  Lane& lane = *lanes_[job.file->lane];
  lane.jobs.push_back(std::move(job));
  if (lane.jobs.size() >= kManyJobs && !std::exchange(lane.awake, true)) lane.wake.notify_one();
}

void FileWriters::WakeLocked() {
  for (auto& lane : lanes_) {
    if (!lane->jobs.empty() && !std::exchange(lane->awake, true)) lane->wake.notify_one();
  }
}

void FileWriters::Wake() {
  std::lock_guard lock(mutex_);
  WakeLocked();
}

void FileWriters::Run(Lane& lane) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (lane.jobs.empty()) lane.awake = false;
    lane.wake.wait(lock, [&] { return stop_ || lane.awake; });
    if (stop_) return;
    Job job = std::move(lane.jobs.front());
    lane.jobs.pop_front();
    lock.unlock();
    Status status = Do(job, lane.folders);
    lock.lock();
    waiting_bytes_ -= job.bytes.size();
    --waiting_jobs_;
    if (!status.ok() && failure_.ok()) failure_ = status;
    if (!failure_.ok() || waiting_jobs_ == 0 || waiting_bytes_ < kMaxWaiting) room_.notify_one();
  }
}

Status FileWriters::Do(const Job& job, ParentFolders& folders) {
  IncomingFile& file = *job.file;
  if (!file.open) {
    file.open = true;
    ASSIGN_OR_RETURN(ParentFolders::Place place, folders.Of(tree_, file.entry.target().path));
    RETURN_IF_ERROR(file.sink.Open(std::move(place), file.entry.target()));
    if (options_.on_change) file.hash = options_.hash(file.entry.sent);
  }
  if (!job.bytes.empty()) {
    if (file.hash != nullptr) file.hash->Update(job.bytes);
    RETURN_IF_ERROR(file.sink.Write(job.bytes));
  }
  if (!job.last) return OkStatus();
  RETURN_IF_ERROR(file.sink.Finish(file.entry.target()));
  if (!options_.on_change) return OkStatus();
  return Report(file.entry.kind, file.entry.sent, file.hash.get());
}

Status FileWriters::Tell(FsChange kind, const FsStat& stat) {
  if (!options_.on_change) return OkStatus();
  if (kind == FsChange::kDelete) return Report(kind, stat, nullptr);
  std::unique_ptr<EntryHash> hash = options_.hash(stat);
  return Report(kind, stat, hash.get());
}

Status FileWriters::Report(FsChange kind, const FsStat& stat, EntryHash* hash) {
  Digest digest = hash == nullptr ? Digest() : hash->Finish();
  std::lock_guard lock(report_mutex_);
  return options_.on_change(kind, stat, digest);
}

Status FileWriters::Flush() {
  std::unique_lock lock(mutex_);
  WakeLocked();
  room_.wait(lock, [this] { return waiting_jobs_ == 0 || !failure_.ok(); });
  return failure_;
}

Status FileWriters::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void FileWriters::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  for (auto& lane : lanes_) {
    lane->wake.notify_one();
    if (lane->thread.joinable()) lane->thread.join();
  }
}

}  // namespace kiln::api
