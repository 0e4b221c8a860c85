// Snapshotter: snapshots that somebody else keeps, in containerd's model and words.
//
// A snapshot is prepared under a key over a committed one (or nothing), written
// while it is active, and committed under a name. What it is to us is a folder
// of files, in the SnapshotStore that is made of it (remote_snapshots.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/mount.h"

namespace kiln::cache {

// Thread-safe. Blocking. UNAVAILABLE while its keeper is away.
class Snapshotter {
 public:
  struct Info {
    std::string name;    // or key, unless committed
    std::string parent;  // "" for none
    bool committed = false;
    std::map<std::string, std::string> labels;
  };
  virtual ~Snapshotter() = default;
  // Both give the mounts that show the snapshot. ALREADY_EXISTS for the key; NOT_FOUND for
  // a parent that is not there or not committed.
  virtual StatusOr<std::vector<Mount>> Prepare(const std::string& key,
                                               const std::string& parent) = 0;
  virtual StatusOr<std::vector<Mount>> View(const std::string& key,
                                            const std::string& parent) = 0;
  virtual StatusOr<std::vector<Mount>> Mounts(const std::string& key) = 0;  // NOT_FOUND
  virtual Status Commit(const std::string& name, const std::string& key,
                        const std::map<std::string, std::string>& labels) = 0;
  // FAILED_PRECONDITION if another one lies on it. Missing is OK.
  virtual Status Remove(const std::string& key) = 0;
  virtual StatusOr<Info> Stat(const std::string& key) = 0;  // NOT_FOUND
  // Those that were made through this one, now or earlier, and are not removed.
  virtual StatusOr<std::vector<Info>> Walk() = 0;
  // Frees the bytes of what was removed.
  virtual Status Collect() = 0;
};

}  // namespace kiln::cache
