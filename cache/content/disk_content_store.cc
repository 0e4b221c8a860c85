// Blobs as files. A writer appends to ingest/<id> and Commit renames it, so that
// a name under blobs/ always stands for complete, verified bytes.
#include "cache/content/disk_content_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "base/file.h"
#include "cache/content/blob_holds.h"
#include "cache/content/written_blob.h"

namespace kiln::cache {
namespace {

class FileReader : public BlobReader {
 public:
  FileReader(UniqueFd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}
  uint64_t size() const override { return size_; }
  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    for (;;) {
      ssize_t count =
          ::pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) return ErrnoStatus(errno, "read blob");
    }
  }

 private:
  UniqueFd fd_;
  uint64_t size_;
};

class DiskContentStore : public ContentStore {
 public:
  explicit DiskContentStore(std::string root) : root_(std::move(root)) {}
  Status Start();
  using ContentStore::Open;
  StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) override;
  StatusOr<std::unique_ptr<BlobWriter>> NewWriter() override;
  StatusOr<BlobStat> Stat(const Digest& digest) override;
  StatusOr<std::vector<BlobStat>> List() override;
  std::shared_ptr<void> Hold() override { return holds_.Hold(); }
  StatusOr<uint64_t> Sweep(const std::function<bool(const Digest&)>& is_live) override;

 private:
  friend class FileWriter;
  StatusOr<std::string> BlobPath(const Digest& digest) const;
  std::string blobs() const { return root_ + "/blobs/sha256"; }

  const std::string root_;
  BlobHolds holds_;
};

class FileWriter : public BlobWriter {
 public:
  FileWriter(DiskContentStore* store, std::string path, UniqueFd fd)
      : store_(store), path_(std::move(path)), fd_(std::move(fd)) {}
  ~FileWriter() override {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Status Append(std::string_view data) override {
    RETURN_IF_ERROR(Annotate(WriteAll(fd_.get(), data), path_));
    hash_.Update(data);
    size_ += static_cast<int64_t>(data.size());
    return OkStatus();
  }
  StatusOr<oci::Descriptor> Commit(const oci::Descriptor& expected) override;

 private:
  DiskContentStore* store_;
  std::string path_;
  UniqueFd fd_;
  Sha256 hash_;
  int64_t size_ = 0;
};

StatusOr<oci::Descriptor> FileWriter::Commit(const oci::Descriptor& expected) {
  if (!fd_.valid()) return FailedPreconditionError("blob writer is closed");
  oci::Descriptor written = expected;
  written.digest = hash_.Finish();
  written.size = size_;
  RETURN_IF_ERROR(CheckWritten(expected, written));
  // Without this a power loss could leave the name with no bytes behind it.
  if (::fdatasync(fd_.get()) != 0) return ErrnoStatus(errno, "sync blob");
  if (::fchmod(fd_.get(), 0444) != 0) return ErrnoStatus(errno, "chmod blob");
  ASSIGN_OR_RETURN(std::string target, store_->BlobPath(written.digest));
  store_->holds_.Touch(written.digest);
  if (::rename(path_.c_str(), target.c_str()) != 0) return ErrnoStatus(errno, "commit blob");
  path_.clear();
  fd_.Reset();
  return written;
}

Status DiskContentStore::Start() {
  RETURN_IF_ERROR(MakeDirs(blobs(), 0711));
  RETURN_IF_ERROR(RemoveAll(root_ + "/ingest"));
  RETURN_IF_ERROR(MakeDirs(root_ + "/ingest", 0700));
  if (!PathExists(root_ + "/oci-layout")) {
    RETURN_IF_ERROR(
        WriteFileAtomic(root_ + "/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"));
  }
  return OkStatus();
}

StatusOr<std::string> DiskContentStore::BlobPath(const Digest& digest) const {
  // The name comes from foreign documents: only a well-formed sha256 becomes a path.
  if (digest.algorithm() != "sha256" || !Digest::Parse(digest.text()).ok()) {
    return InvalidArgumentError(StrCat("unsupported digest ", digest.text()));
  }
  return StrCat(blobs(), "/", digest.hex());
}

StatusOr<std::unique_ptr<BlobReader>> DiskContentStore::Open(const Digest& digest) {
  ASSIGN_OR_RETURN(std::string path, BlobPath(digest));
  holds_.Touch(digest);
  StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY);
  if (!fd.ok()) {
    if (!IsNotFound(fd.status())) return fd.status();
    return NotFoundError(StrCat("content ", digest.text(), ": not found"));
  }
  struct stat st{};
  if (::fstat(fd->get(), &st) != 0) return ErrnoStatus(errno, path);
  return std::unique_ptr<BlobReader>(
      std::make_unique<FileReader>(*std::move(fd), static_cast<uint64_t>(st.st_size)));
}

StatusOr<std::unique_ptr<BlobWriter>> DiskContentStore::NewWriter() {
  std::string path = StrCat(root_, "/ingest/", NewId());
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  return std::unique_ptr<BlobWriter>(
      std::make_unique<FileWriter>(this, std::move(path), std::move(fd)));
}

StatusOr<BlobStat> DiskContentStore::Stat(const Digest& digest) {
  ASSIGN_OR_RETURN(std::string path, BlobPath(digest));
  holds_.Touch(digest);
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno != ENOENT) return ErrnoStatus(errno, path);
    return NotFoundError(StrCat("content ", digest.text(), ": not found"));
  }
  return BlobStat{digest, int64_t{st.st_size}};
}

StatusOr<std::vector<BlobStat>> DiskContentStore::List() {
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListDir(blobs()));
  std::vector<BlobStat> found;
  for (const std::string& name : names) {
    StatusOr<Digest> digest = Digest::Parse("sha256:" + name);
    struct stat st{};
    if (!digest.ok() || ::stat(StrCat(blobs(), "/", name).c_str(), &st) != 0) continue;
    found.push_back({*std::move(digest), int64_t{st.st_size}});
  }
  return found;
}

StatusOr<uint64_t> DiskContentStore::Sweep(const std::function<bool(const Digest&)>& is_live) {
  ASSIGN_OR_RETURN(std::vector<BlobStat> found, List());
  uint64_t freed = 0;
  for (const BlobStat& blob : found) {
    ASSIGN_OR_RETURN(std::string path, BlobPath(blob.digest));
    holds_.UnlessHeld(blob.digest, [&] {
      if (is_live(blob.digest)) return;
      if (::unlink(path.c_str()) == 0) freed += static_cast<uint64_t>(blob.size);
    });
  }
  return freed;
}

}  // namespace

StatusOr<std::unique_ptr<ContentStore>> OpenContentStore(const std::string& root) {
  auto store = std::make_unique<DiskContentStore>(root);
  RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<ContentStore>(std::move(store));
}

}  // namespace kiln::cache
