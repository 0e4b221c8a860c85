// HashTree: content digests of a tree by path, filled by changes or by scans.
//
// The key of a path is the path with 0 bytes for slashes, so that byte order is
// the order of a walk. A folder has two entries: "\0d" for its contents and
// "\0d\0" for its header; the root has "" and "\0". Digests of folders depend on
// this order and form, which are the reference's.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/pattern.h"
#include "base/rooted.h"
#include "cache/contenthash/content_files.h"
#include "cache/contenthash/content_hash.h"

namespace kiln::cache {

struct HashRecord {
  enum class Type : uint8_t { kFile, kDir, kDirHeader, kSymlink };
  Type type = Type::kFile;
  Digest digest;         // empty: not yet known
  std::string linkname;  // of a symlink
  // As the digest saw them, for people; mode 0: not looked at.
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Not thread-safe. `Tree` gives the mounted tree and is called at most when files
// have to be read.
class HashTree {
 public:
  using Tree = std::function<StatusOr<const RootedTree*>()>;

  Status OnChange(ChangeKind kind, std::string_view path, const FileStat& stat,
                  const Digest& digest);
  StatusOr<Digest> Checksum(const Tree& tree, std::string_view path,
                            const ChecksumOptions& options);
  // What Checksum of the same arguments is made of, as far as it is known; see
  // content_files.h.
  std::vector<FileMark> List(std::string_view path, const ChecksumOptions& options);
  // Something was learnt since the last Save or Load, other than digests of folders.
  bool dirty() const { return dirty_; }
  std::string Save();
  // DATA_LOSS, and an empty tree, if the bytes are none of Save's.
  Status Load(std::string_view bytes);

 private:
  using Map = std::map<std::string, HashRecord, std::less<>>;
  struct Found {
    std::string key;
    const HashRecord* record = nullptr;  // null: not in the tree
  };
  struct Included {
    std::string path;
    std::string key;
    bool included = false;
    bool follow = false;
    std::vector<bool> include_matches;
    std::vector<bool> exclude_matches;
  };
  struct Selection;  // state of one walk over included paths

  using Visit = std::function<void(const std::string& path, const HashRecord* record)>;
  StatusOr<Found> Follow(const std::string& key, bool follow_last, const Visit& visit = {}) const;
  StatusOr<bool> NeedsScan(const std::string& path, bool follow_last) const;
  Status ScanPath(const Tree& tree, const std::string& path, bool follow_last);
  Status ScanFolder(const RootedTree& tree, const std::string& folder);
  StatusOr<std::string> ResolveForScan(const RootedTree& tree, std::string_view path,
                                       bool follow_last);
  StatusOr<Digest> DigestOf(const Tree& tree, const std::string& key, bool follow_last);
  StatusOr<Digest> DigestOfDir(const Tree& tree, const std::string& key);
  StatusOr<Digest> LazyChecksum(const Tree& tree, std::string_view path, bool follow_last);
  Status Select(const Tree& tree, std::string_view path, const ChecksumOptions& options,
                Selection* selection);
  std::vector<std::string> SelectedKeys(const Tree& tree, std::string_view path,
                                        const ChecksumOptions& options);
  StatusOr<bool> StartOf(const ChecksumOptions& options, const std::string& path,
                         Selection* selection);
  StatusOr<bool> Consider(const std::string& key, const ChecksumOptions& options,
                          const std::string& path, bool ends_in_slash, Selection* selection);
  void Touch(std::string path);
  void Settle();
  void RemoveBelow(const std::string& key);

  Map records_;
  bool dirty_ = false;
  // While changes come in: folders whose digests are void, and hard links whose
  // first name has not been reported.
  std::set<std::string> touched_;
  std::map<std::string, std::vector<std::string>> waiting_links_;
};

// Digest of one entry as it is on disk; links are not followed.
// `seen` gets what the digest was made of, but for the bytes.
StatusOr<Digest> HashFile(const RootedTree& tree, const std::string& path,
                          FileStat* seen = nullptr);
std::string HashKeyOf(std::string_view path);   // slashes → zeros
std::string HashPathOf(std::string_view key);   // zeros → slashes

}  // namespace kiln::cache
