// See file_writers.h.
#include "api/fsutil/file_writers.h"

#include <algorithm>

namespace kiln::api {
namespace {

constexpr size_t kMaxWaiting = 16 << 20;

}  // namespace

struct IncomingFile {
  IncomingEntry entry;
  size_t lane = 0;
  FileSink sink;
  std::unique_ptr<EntryHash> hash;
  bool open = false;
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
  Queue({file, std::move(bytes)});
}

void FileWriters::End(IncomingFilePtr file) { Queue({std::move(file), {}}); }

void FileWriters::Queue(Job job) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return waiting_bytes_ < kMaxWaiting || !failure_.ok(); });
  if (!failure_.ok()) return;
  waiting_bytes_ += job.bytes.size();
  ++waiting_jobs_;
  Lane& lane = *lanes_[job.file->lane];
  lane.jobs.push_back(std::move(job));
  lane.wake.notify_one();
}

void FileWriters::Run(Lane& lane) {
  std::unique_lock lock(mutex_);
  while (true) {
    lane.wake.wait(lock, [&] { return stop_ || !lane.jobs.empty(); });
    if (stop_) return;
    Job job = std::move(lane.jobs.front());
    lane.jobs.pop_front();
    lock.unlock();
    Status status = Do(job);
    lock.lock();
    waiting_bytes_ -= job.bytes.size();
    --waiting_jobs_;
    if (!status.ok() && failure_.ok()) failure_ = status;
    if (!failure_.ok() || waiting_jobs_ == 0 || waiting_bytes_ < kMaxWaiting) room_.notify_one();
  }
}

Status FileWriters::Do(const Job& job) {
  IncomingFile& file = *job.file;
  if (!file.open) {
    file.open = true;
    RETURN_IF_ERROR(file.sink.Open(tree_, file.entry.target));
    if (options_.on_change) file.hash = options_.hash(file.entry.sent);
  }
  if (!job.bytes.empty()) {
    if (file.hash != nullptr) file.hash->Update(job.bytes);
    return file.sink.Write(job.bytes);
  }
  RETURN_IF_ERROR(file.sink.Finish(file.entry.target));
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
