// TreeWriter: puts entries into a folder, each written beside its place and
// renamed into it where something is there already.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/fsutil/fs_stat.h"
#include "base/rooted.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::api {

// The folders that entries go to, of which one mostly serves many in turn. Used by one
// thread, within one transfer: no folder that files were told for is put in another's place.
class ParentFolders {
 public:
  struct Place {
    std::shared_ptr<UniqueFd> dir;
    std::string name;
  };
  StatusOr<Place> Of(const RootedTree& tree, const std::string& path);

 private:
  std::string path_;  // with a slash at its end, or ""
  std::shared_ptr<UniqueFd> dir_;
};

// One regular file under way. Used by one thread at a time. Dropped before
// Finish, what was written goes.
class FileSink {
 public:
  FileSink() = default;
  ~FileSink();
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  Status Open(ParentFolders::Place place, const FsStat& stat);
  Status Write(std::string_view bytes);
  // Owner, mode, attributes and times; then the file is at its place.
  Status Finish(const FsStat& stat);

 private:
  std::shared_ptr<UniqueFd> dir_;
  UniqueFd file_;
  std::string name_;
  std::string temp_;  // empty: written at its place
};

// Paths must have passed OrderCheck: their parents are folders of ours. Methods
// are called from one thread; FileSinks may run beside it.
class TreeWriter {
 public:
  explicit TreeWriter(const RootedTree& tree) : tree_(tree) {}

  // Folder, symlink, device, pipe.
  Status MakeNode(const FsStat& stat);
  Status MakeLink(const FsStat& stat);  // another name of stat.link_name
  Status Remove(std::string_view path);
  // Keeps mode and time of a folder for FinishFolders.
  void KeepFolder(const FsStat& stat) {
    folders_.push_back({stat.path, stat.mode, stat.mod_time});
  }
  // Modes and times of folders, once nothing is written into them any more.
  Status FinishFolders();

 private:
  struct Folder {
    std::string path;
    uint32_t mode;
    int64_t mod_time;
  };
  Status MakeFolder(const RootedTree::Parent& parent, const FsStat& stat);
  Status MakeAt(const RootedTree::Parent& parent, const std::string& name, const FsStat& stat);

  const RootedTree& tree_;
  std::vector<Folder> folders_;
};

}  // namespace kiln::api
