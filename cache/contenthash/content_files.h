// ContentFiles: what a content digest was made of, file by file, so that two of them
// can be compared when their trees are gone. For people; no digest depends on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/contenthash/content_hash.h"

namespace kiln::cache {

struct FileMark {
  std::string path;
  uint32_t mode = 0;  // Go's bits; 0 if never looked at
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t digest = 0;  // the first bytes of the file's digest
};

// The entries that `path` selects in `ref`, in byte order, from what an earlier
// Checksum learnt: no file is read. Empty if that is no longer in memory.
std::vector<FileMark> ListFiles(const Ref& ref, std::string_view path,
                                const ChecksumOptions& options);

std::string EncodeFiles(const std::vector<FileMark>& files);
StatusOr<std::vector<FileMark>> DecodeFiles(std::string_view bytes);

struct FileChange {
  std::string path;
  enum class Kind { kAdded, kRemoved, kContent, kMode, kOwner } kind = Kind::kContent;
  size_t others = 0;  // further files that differ
};
// The first difference in path order; nullopt if there is none.
std::optional<FileChange> FirstChange(const std::vector<FileMark>& before,
                                      const std::vector<FileMark>& after);
std::string_view FileChangeText(FileChange::Kind kind);

}  // namespace kiln::cache
