// Content digests of parts of a tree: what makes COPY depend on bytes and not on
// where they came from. Merkle digests over file_hash.h, kept with the record.
//
// Two ways fill a tree: changes that a receiver reports (no file is read
// again), and a scan of the mounted tree for what is asked for.
#pragma once

#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "cache/contenthash/file_hash.h"
#include "cache/ref.h"

namespace kiln::cache {

enum class ChangeKind { kAdd, kModify, kDelete };

struct ChecksumOptions {
  bool follow_links = false;  // a link at the end of the path is followed
  bool wildcard = false;      // the path may hold * ? [ ]
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  std::vector<std::string> required = {};  // NOT_FOUND unless each is a prefix of a kept path
};

struct SharedTree;

// The tree of a local source while it is received: call OnChange in the order
// of the stream, then Save. Thread-safe.
class ContentHashBuilder {
 public:
  // Goes on from what was saved with `ref`; damage starts an empty tree.
  explicit ContentHashBuilder(const MutableRef& ref);
  ~ContentHashBuilder();
  // `path` is relative to the root; `digest` is a FileHash of `stat` and content
  // (of the header alone for anything but regular files). For kDelete both are ignored.
  // A hard link (linkname on a regular file) takes the digest of its first name,
  // which may be reported later.
  Status OnChange(ChangeKind kind, std::string_view path, const FileStat& stat,
                  const Digest& digest);
  // Keeps the tree with `ref` (before its Commit).
  Status Save(const MutableRef& ref);

 private:
  std::mutex mutex_;
  std::shared_ptr<SharedTree> shared_;  // guarded by mutex_
};

// Digest of `path` in `ref`. Mounts and scans only what no earlier call knows;
// the result is kept with the record. Scratch has only "/". Thread-safe, blocking.
// NOT_FOUND texts are the reference's ("\"/a/b\": not found").
StatusOr<Digest> Checksum(const Ref& ref, std::string_view path, const ChecksumOptions& options,
                          std::stop_token stop = {});
// Drops what is kept of `ref` (after a failed transfer).
Status ForgetChecksums(const MutableRef& ref);

}  // namespace kiln::cache
