// FileWriters: threads that put incoming bytes into files and hash them.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/fsutil/receiver.h"
#include "api/fsutil/tree_writer.h"

namespace kiln::api {

struct IncomingEntry {
  FsStat sent;  // as announced: what hash and on_change see
  std::unique_ptr<FsStat> filtered;  // null: as sent
  FsChange kind = FsChange::kAdd;

  const FsStat& target() const { return filtered != nullptr ? *filtered : sent; }
};

struct IncomingFile;
using IncomingFilePtr = std::shared_ptr<IncomingFile>;

// Methods are called from one thread. Bytes of one file are written in order;
// callers wait while too many bytes wait. Writers start on what they got at the next
// Wake at the latest.
class FileWriters {
 public:
  FileWriters(const RootedTree& tree, const ReceiveOptions& options);
  ~FileWriters() { Stop(); }

  IncomingFilePtr Begin(IncomingEntry entry);
  void Append(const IncomingFilePtr& file, std::string bytes);
  void End(IncomingFilePtr file);
  void Wake();
  // Reports an entry without bytes.
  Status Tell(FsChange kind, const FsStat& stat);
  // Waits until all files that have ended are at their places.
  Status Flush();
  Status failure() const;
  void Stop();

 private:
  struct Job {
    IncomingFilePtr file;
    std::string bytes;
    bool last = false;  // nothing follows
  };
  struct Lane {
    std::deque<Job> jobs;
    std::condition_variable wake;
    ParentFolders folders;
    bool awake = false;
    std::thread thread;
  };
  void Queue(Job job);
  void WakeLocked();
  void Run(Lane& lane);
  Status Do(const Job& job, ParentFolders& folders);
  Status Report(FsChange kind, const FsStat& stat, EntryHash* hash);

  const RootedTree& tree_;
  const ReceiveOptions& options_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  size_t waiting_bytes_ = 0;
  size_t held_bytes_ = 0;  // of files whose first bytes wait for the next ones
  size_t waiting_jobs_ = 0;
  size_t next_lane_ = 0;
  bool stop_ = false;
  Status failure_;
  std::mutex report_mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace kiln::api
