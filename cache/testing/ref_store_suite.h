// The suite that every kind of RefStore passes, over real folders and real layer
// archives. Instantiated for the native snapshotter (unit) and overlayfs (needs root), and for
// the same of a Snapshotter ("remote-native", "remote-overlayfs").
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cache/content/disk_content_store.h"
#include "cache/database.h"
#include "cache/ref_store.h"
#include "cache/testing/fake_snapshotter.h"

namespace kiln::cache {

// One state directory that can be closed and opened again.
class RefStoreSuite : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override { Close(); }
  void Open(const std::string& boot_id = "boot-1");
  void Close();

  // A committed tree over `parent` with `files` ("path=text", "path!" removes).
  Ref Make(const Ref& parent, const std::vector<std::string>& files);
  static void Edit(const std::string& root, const std::vector<std::string>& files);
  // "path=text path/ …" in walk order.
  std::string Describe(const Ref& ref);
  static std::string DescribeDir(const std::string& root);
  std::string root() const { return temp_.path(); }
  size_t Snapshots() {
    return remote_ ? remote_->Walk().value().size() : ListDir(root() + "/snapshots").value().size();
  }
  // Of the parameter, for a store at `root`. The Snapshotter, if there is one, is the result.
  static std::unique_ptr<FakeSnapshotter> ChooseSnapshots(const std::string& root,
                                                          RefStoreOptions* options);

  TempDir temp_{std::move(MakeTempDir("/tmp", "refstore-")).value()};
  std::unique_ptr<Database> database_;
  std::unique_ptr<ContentStore> content_;
  std::unique_ptr<FakeSnapshotter> remote_;
  std::unique_ptr<RefStore> store_;
};

}  // namespace kiln::cache
