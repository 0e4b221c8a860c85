// See layout_store.h.
#include "api/client/layout_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"

namespace kiln::api {

LayoutWriter::~LayoutWriter() {
  if (file_.valid()) ::unlink(temp_.c_str());
}

Status LayoutWriter::Write(std::string_view bytes) {
  RETURN_IF_ERROR(WriteAll(file_.get(), bytes));
  hash_.Update(bytes);
  offset_ += static_cast<int64_t>(bytes.size());
  return OkStatus();
}

Status LayoutWriter::Truncate() {
  if (::ftruncate(file_.get(), 0) != 0) return ErrnoStatus(errno, StrCat("truncate ", temp_));
  ::lseek(file_.get(), 0, SEEK_SET);
  hash_ = Sha256();
  offset_ = 0;
  return OkStatus();
}

Status LayoutWriter::Commit(int64_t size, const Digest& expected) {
  if (size > 0 && size != offset_) {
    return FailedPreconditionError(
        StrCat("unexpected commit size ", offset_, ", expected ", size, ": failed precondition"));
  }
  Digest digest = hash_.Finish();
  if (!expected.empty() && expected != digest) {
    return FailedPreconditionError(StrCat("unexpected commit digest ", digest.text(),
                                          ", expected ", expected.text(),
                                          ": failed precondition"));
  }
  if (::fchmod(file_.get(), 0444) != 0) return ErrnoStatus(errno, StrCat("chmod ", temp_));
  std::string folder = StrCat(dir_, "/blobs/", digest.algorithm());
  RETURN_IF_ERROR(MakeDirs(folder));
  std::string path = StrCat(folder, "/", digest.hex());
  if (::rename(temp_.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, StrCat("rename ", path));
  file_.Reset();
  return OkStatus();
}

std::string LayoutStore::PathOf(const Digest& digest) const {
  return StrCat(dir_, "/blobs/", digest.algorithm(), "/", digest.hex());
}

StatusOr<LayoutBlob> LayoutStore::Stat(const Digest& digest) const {
  struct stat st{};
  if (::stat(PathOf(digest).c_str(), &st) != 0) {
    if (errno != ENOENT) return ErrnoStatus(errno, StrCat("stat ", PathOf(digest)));
    return NotFoundError(StrCat("content ", digest.text(), ": not found"));
  }
  return LayoutBlob{st.st_size, st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec};
}

Status LayoutStore::Read(
    const Digest& digest, int64_t offset, int64_t size,
    const std::function<Status(int64_t offset, std::string_view)>& piece) const {
  ASSIGN_OR_RETURN(LayoutBlob blob, Stat(digest));
  if (offset < 0 || size < 0) return OutOfRangeError("negative offset or size");
  if (offset > blob.size) return OutOfRangeError("read past object length " + StrCat(blob.size));
  // Readers ask for whole buffers: what is beyond the end is simply not there.
  int64_t left = blob.size - offset;
  if (size > 0) left = std::min(left, size);
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(PathOf(digest), O_RDONLY));
  std::string buffer(1 << 20, '\0');
  while (left > 0) {
    size_t want = std::min<size_t>(buffer.size(), static_cast<size_t>(left));
    ssize_t n = ::pread(file.get(), buffer.data(), want, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoStatus(n < 0 ? errno : EIO, StrCat("read ", PathOf(digest)));
    RETURN_IF_ERROR(piece(offset, std::string_view(buffer.data(), static_cast<size_t>(n))));
    offset += n;
    left -= n;
  }
  return OkStatus();
}

StatusOr<std::string> LayoutStore::ReadAll(const Digest& digest) const {
  std::string all;
  RETURN_IF_ERROR(Read(digest, 0, 0, [&](int64_t, std::string_view bytes) {
    all += bytes;
    return OkStatus();
  }));
  return all;
}

StatusOr<std::unique_ptr<LayoutWriter>> LayoutStore::Open(const Digest& expected) const {
  if (!expected.empty() && Stat(expected).ok()) {
    return AlreadyExistsError(StrCat("content ", expected.text(), ": already exists"));
  }
  std::unique_ptr<LayoutWriter> writer(new LayoutWriter());
  writer->dir_ = dir_;
  RETURN_IF_ERROR(MakeDirs(StrCat(dir_, "/ingest")));
  writer->temp_ = StrCat(dir_, "/ingest/", NewId());
  ASSIGN_OR_RETURN(writer->file_, OpenFile(writer->temp_, O_CREAT | O_EXCL | O_WRONLY, 0644));
  return writer;
}

Status LayoutStore::Each(const std::function<Status(const Digest&)>& visit) const {
  std::string blobs = dir_ + "/blobs";
  StatusOr<std::vector<std::string>> algorithms = ListDir(blobs);
  if (!algorithms.ok()) return IsNotFound(algorithms.status()) ? OkStatus() : algorithms.status();
  for (const std::string& algorithm : *algorithms) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, ListDir(StrCat(blobs, "/", algorithm)));
    for (const std::string& name : names) {
      StatusOr<Digest> digest = Digest::Parse(StrCat(algorithm, ":", name));
      if (digest.ok()) RETURN_IF_ERROR(visit(*digest));
    }
  }
  return OkStatus();
}

Status LayoutStore::Remove(const Digest& digest) const {
  if (::unlink(PathOf(digest).c_str()) != 0) return ErrnoStatus(errno, "remove " + digest.text());
  return OkStatus();
}

}  // namespace kiln::api
