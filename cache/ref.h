// Ref and MutableRef: leases on trees that the cache holds.
//
// A record is one layer of change over a parent; its snapshot can be mounted,
// its blob can be exported. A record may be lazy: known by the descriptor of its
// blob only, fetched and unpacked when somebody mounts it. Nothing that a lease
// names is deleted; a record without leases stays until pruned (or goes at once
// if it is not retained).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "base/time.h"
#include "cache/content/content_store.h"
#include "cache/mount.h"
#include "oci/descriptor.h"

namespace kiln::cache {

// What `du` shows as the type of a record; texts are the reference's.
enum class RecordType { kInternal, kFrontend, kLocalSource, kGitCheckout, kCacheMount, kRegular };
std::string_view RecordTypeText(RecordType type);

struct RecordOptions {
  std::string description = {};
  RecordType type = RecordType::kRegular;
  Time created = {};          // unset: now
  bool retain = false;        // keep a mutable record after its lease ends (cache mounts, local sources)
  std::map<std::string, std::string> metadata = {};  // see RefStore::Find
};

// How layers are wanted when a ref becomes a chain of blobs.
struct CompressionOptions {
  oci::Compression type = oci::Compression::kGzip;
  bool force = false;          // convert existing blobs of another type
  std::optional<int> level = {};
  bool oci_types = true;       // OCI or docker media types
};

// One layer as a blob.
struct Layer {
  oci::Descriptor blob;
  DiffId diff_id;
  std::string description;
  Time created;
};

// A chain of layers, lowest first, and where their bytes come from.
struct Remote {
  std::vector<Layer> layers;
  std::shared_ptr<BlobSource> source;
};

struct RefState;

// Shared read access to an immutable tree. Move-only; released in the destructor.
// The empty Ref stands for scratch: no id, no layers, mounts as an empty folder.
// Methods are thread-safe and blocking (network and disk).
class Ref {
 public:
  Ref() = default;
  explicit Ref(std::shared_ptr<RefState> state) : state_(std::move(state)) {}
  Ref(Ref&&) = default;
  Ref& operator=(Ref&&) = default;
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;

  bool empty() const { return state_ == nullptr; }
  std::string id() const;  // "" for scratch
  Ref Clone() const;

  // Unlazies if needed. A scratch Ref cannot be mounted: FAILED_PRECONDITION.
  StatusOr<MountLease> Mount(bool readonly, std::stop_token stop = {}) const;
  // Fetches and unpacks all lazy layers, without mounting.
  Status Extract(std::stop_token stop = {}) const;
  // This record and its ancestors, lowest first (merge and diff records count as their layers).
  std::vector<Ref> LayerChain() const;
  // The chain as blobs; makes missing ones (diff, compress, store) if `create`, else NOT_FOUND.
  // A lazy layer keeps its descriptor and is not fetched.
  StatusOr<Remote> GetRemote(bool create, const CompressionOptions& compression,
                             std::stop_token stop = {}) const;
  bool lazy() const;
  std::string description() const;
  void SetDescription(std::string_view text) const;
  Time created() const;
  // Bytes of this record alone; a file that other trees have too counts by its share.
  StatusOr<int64_t> Size() const;
  void SharesFiles() const;  // to be told when another tree was given names of its files
  // Free-form values kept with the record, in the database.
  StatusOr<std::string> GetMetadata(std::string_view key) const;  // NOT_FOUND
  Status SetMetadata(std::string_view key, std::string_view value, bool searchable = false) const;

  const std::shared_ptr<RefState>& state() const { return state_; }

 private:
  std::shared_ptr<RefState> state_;
};

// The one writer of a growing tree. Move-only. Dropping it removes the tree
// unless it was made with `retain`.
class MutableRef {
 public:
  MutableRef() = default;
  explicit MutableRef(std::shared_ptr<RefState> state) : state_(std::move(state)) {}
  MutableRef(MutableRef&&) = default;
  MutableRef& operator=(MutableRef&&) = default;
  MutableRef(const MutableRef&) = delete;
  MutableRef& operator=(const MutableRef&) = delete;

  bool empty() const { return state_ == nullptr; }
  std::string id() const;
  StatusOr<MountLease> Mount(bool readonly, std::stop_token stop = {}) const;
  // Freezes the tree. With `retain` the mutable record stays usable by a later
  // GetMutable, and the Ref is an equal view of it until it is next written.
  StatusOr<Ref> Commit();
  StatusOr<std::string> GetMetadata(std::string_view key) const;
  Status SetMetadata(std::string_view key, std::string_view value, bool searchable = false) const;
  const std::shared_ptr<RefState>& state() const { return state_; }

 private:
  std::shared_ptr<RefState> state_;
};

}  // namespace kiln::cache
