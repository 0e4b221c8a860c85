// LayerWriter: changes, one after another, become the entries of a layer.
//
// Knows the header form of a layer: parents before their entries, whiteouts, hard links
// to the first name, seconds only. Which entries are changes is layer_diff.cc's.
#pragma once

#include <sys/stat.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "oci/stream.h"
#include "oci/tar.h"

namespace kiln::oci {

// One thread. Paths are relative, without a slash at either end; changes come in the
// order of the walk, inside EnterFolder and LeaveFolder of the folders above.
class LayerWriter {
 public:
  explicit LayerWriter(WriteFn out) : tar_(std::move(out)) {}

  // kUnmodified: only kept in mind, in case that another name of the same file changed.
  enum class Kind { kChanged, kUnmodified };
  // `dir` is the open folder that holds the entry `name`.
  Status Changed(Kind kind, const std::string& path, int dir, const std::string& name,
                 const struct stat& st);
  Status Deleted(const std::string& path);
  // `fd` stays open until LeaveFolder.
  void EnterFolder(const std::string& path, int fd, const struct stat& st);
  void LeaveFolder() { folders_.pop_back(); }
  Status Close() { return tar_.Close(); }

 private:
  struct Folder {
    std::string path;
    int fd;
    struct stat st;
  };
  // A name met before its file was known to be changed, and the folders above it.
  struct Waiting {
    std::string path;
    std::vector<TarHeader> parents;
  };
  Status WriteParents();
  Status WriteFolder(const TarHeader& header);
  Status WriteFile(int dir, const std::string& name, const TarHeader& header);
  Status WriteLinks(TarHeader header, const std::vector<Waiting>& names);

  TarWriter tar_;
  std::vector<Folder> folders_;             // the chain of folders walked into
  std::set<std::string> written_folders_;
  std::map<ino_t, std::string> first_name_;              // of files with several names
  std::map<ino_t, std::vector<Waiting>> waiting_names_;  // unmodified names so far
};

}  // namespace kiln::oci
