// LayoutStore: blobs of an OCI layout folder, read and written.
//
// blobs/sha256/<hex> and ingest/, as containerd's local store lays them out. The
// index is layout_index.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::api {

struct LayoutBlob {
  int64_t size = 0;
  int64_t mtime_nanos = 0;
};

// One blob under way. Not thread-safe.
class LayoutWriter {
 public:
  ~LayoutWriter();
  int64_t offset() const { return offset_; }
  Status Write(std::string_view bytes);
  Status Truncate();  // starts over
  // The blob is at its place afterwards. `size` 0 and an empty digest are not checked.
  Status Commit(int64_t size, const Digest& expected);
  Digest digest() const { return hash_.Finish(); }

 private:
  friend class LayoutStore;
  LayoutWriter() = default;
  std::string dir_;
  std::string temp_;
  UniqueFd file_;
  Sha256 hash_;
  int64_t offset_ = 0;
};

// Thread-safe; a value.
class LayoutStore {
 public:
  explicit LayoutStore(std::string dir) : dir_(std::move(dir)) {}
  // NOT_FOUND in containerd's words.
  StatusOr<LayoutBlob> Stat(const Digest& digest) const;
  // From `offset`, `size` bytes (0: to the end).
  Status Read(const Digest& digest, int64_t offset, int64_t size,
              const std::function<Status(int64_t offset, std::string_view)>& piece) const;
  StatusOr<std::string> ReadAll(const Digest& digest) const;
  // ALREADY_EXISTS if a blob of that digest is there.
  StatusOr<std::unique_ptr<LayoutWriter>> Open(const Digest& expected) const;
  Status Each(const std::function<Status(const Digest&)>& visit) const;
  Status Remove(const Digest& digest) const;

 private:
  std::string PathOf(const Digest& digest) const;
  std::string dir_;
};

}  // namespace kiln::api
