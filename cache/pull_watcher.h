// PullWatcher: hears of layers that are brought in or unpacked after the step that
// named them: an image's layers stay where they are until somebody needs the files.
#pragma once

#include <cstdint>

#include "base/digest.h"
#include "cache/content/content_store.h"

namespace kiln::cache {

// Thread-safe; calls of several layers come at a time. Must not block for long.
class PullWatcher {
 public:
  virtual ~PullWatcher() = default;
  // Between Begin and End something is done for the one layer.
  virtual void Begin() = 0;
  virtual void End(const Status& status) = 0;
  // `total` is 0 if unknown, both in bytes. `done`: all of it is here.
  virtual void Fetched(const Digest& blob, int64_t current, int64_t total, bool done) = 0;
  virtual void Extracting(const Digest& blob, bool done) = 0;
};

// A source of blobs that somebody watches.
class WatchedBlobs : public BlobSource {
 public:
  virtual PullWatcher& watcher() = 0;  // lives as long as the source
};

}  // namespace kiln::cache
