// A Snapshotter in a folder, for unit tests: containerd's rules, and its mounts of
// overlayfs and native.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "cache/snapshot/snapshotter.h"

namespace kiln::cache {

// Thread-safe. What it keeps outlives it, as containerd's snapshots outlive its clients.
class FakeSnapshotter : public Snapshotter {
 public:
  FakeSnapshotter(std::string root, bool overlay) : root_(std::move(root)), overlay_(overlay) {}
  StatusOr<std::vector<Mount>> Prepare(const std::string& key, const std::string& parent) override;
  StatusOr<std::vector<Mount>> View(const std::string& key, const std::string& parent) override;
  StatusOr<std::vector<Mount>> Mounts(const std::string& key) override;
  Status Commit(const std::string& name, const std::string& key,
                const std::map<std::string, std::string>& labels) override;
  Status Remove(const std::string& key) override;
  StatusOr<Info> Stat(const std::string& key) override;
  StatusOr<std::vector<Info>> Walk() override;
  Status Collect() override { return OkStatus(); }
  // From now on nobody answers, or somebody does again.
  void SetAway(bool away) { away_ = away; }

 private:
  struct Entry {
    std::string dir;
    Info info;
  };
  Status Here() const;
  StatusOr<std::vector<Entry>> All() const;
  StatusOr<Entry> Find(const std::string& key) const;
  Status Save(const Entry& entry) const;
  StatusOr<std::vector<Mount>> Make(const std::string& key, const std::string& parent);
  StatusOr<std::vector<Mount>> MountsOf(const Entry& entry) const;

  const std::string root_;
  const bool overlay_;
  std::mutex mutex_;
  bool away_ = false;
};

}  // namespace kiln::cache
