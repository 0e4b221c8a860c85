// TreeCopier: copies one entry of a foreign tree into another, with all below it.
//
// Works on open folders only: no path is joined and opened, no link is followed.
// Where the entry comes from and goes to is decided in copy_path.h.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/pattern.h"
#include "base/rooted.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "worker/op/file/file_attributes.h"

namespace kiln::worker {

// Where the files of a target lie, if nothing but copies goes there before the layer is
// done and unmounted. What is in folders that a copy made itself is then written past the
// overlay, which makes each file twice as dear, and may be another name of the source's
// file: no layer is written again, and who changes a source's tree puts new files into it.
struct LayerFolder {
  std::optional<RootedTree> upper = {};  // the folder of changes under an overlay
  bool plain = false;                    // the target is no overlay but the folder itself
  bool share = false;                    // source and target may be names of one file
  std::set<std::pair<dev_t, ino_t>> shared = {};  // so far: copies stay files of their own
};

struct CopyOptions {
  LayerFolder* layer = nullptr;
  AttributeChange change = {};
  std::optional<SymbolicMode> symbolic_mode = {};  // wins over change.mode
  bool follow_links = false;                       // of the source path itself
  bool dir_contents = false;                       // the entries of a folder, not itself
  bool replace_existing = false;                   // also a folder by a file and the reverse
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
};

// Used by one thread, for any number of copies; hard links between them are kept.
class TreeCopier {
 public:
  static StatusOr<TreeCopier> Make(const CopyOptions& options, std::stop_token stop);
  // Entry `from` of the folder `source` becomes `to` in `target`. `path` is where
  // that is. `fresh`: it is a folder, made for this copy and empty.
  Status Copy(int source, const std::string& from, int target, const std::string& to,
              const std::string& path, bool fresh = false);

 private:
  struct Dir;
  struct Entry;
  using Matches = std::vector<bool>;

  TreeCopier(const CopyOptions& options, std::stop_token stop)
      : options_(options), stop_(std::move(stop)) {}
  Status CopyEntry(Entry& entry);
  Status CopyDir(Entry& entry);
  Status CopyChildren(Entry& entry, Dir& dir);
  Status CopyOther(Entry& entry);
  Status CopyFile(Entry& entry, int source_fd, int target_fd);
  Status CopyBytes(int from, int to, int64_t size);
  StatusOr<bool> LinkToEarlier(Entry& entry);
  bool Share(const Entry& entry);
  void GoBeneath(Dir& dir, UniqueFd& fd) const;
  Status ClearTarget(Entry& entry, bool* existed);
  Status MakeDir(Dir& dir, bool overwrite, bool* created);
  Status MakeParents(Dir* dir);
  Status SetAttributes(const Entry& entry, int source_fd, int target_fd) const;
  static void CopyXattrs(const Entry& entry, int source_fd, int target_fd);
  uint32_t ModeFor(const struct stat& st) const;
  bool Included(Entry& entry, bool* excluded);

  CopyOptions options_;
  std::stop_token stop_;
  PatternList include_;
  PatternList exclude_;
  std::vector<char> buffer_;
  bool in_kernel_ = true;  // copy_file_range works between the two trees
  struct FirstName {
    std::shared_ptr<UniqueFd> dir;
    std::string name;
  };
  std::map<std::pair<dev_t, ino_t>, FirstName> links_;
};

}  // namespace kiln::worker
