#include "cache/afar/chunk_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace kiln::cache {
namespace {

// Places are whole pages, so that one can be given back without its neighbours.
constexpr int64_t kPage = 4096;

}  // namespace

// A chunk that is being read stays.
void ChunkSpace::MakeRoomLocked() {
  auto it = places_.end();
  while (bytes_ > max_bytes_ && it != places_.begin()) {
    --it;
    if (it->readers > 0) continue;
    ChunkFile& file = *it->file;
    const int64_t room = file.RoomOf(it->chunk);
    // Where holes cannot be made the chunk is forgotten and its room is used again.
    ::fallocate(file.fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                file.starts_[it->chunk], room);
    bytes_ -= room;
    file.bytes_ -= room;
    file.here_.erase(it->chunk);
    it = places_.erase(it);
  }
}

StatusOr<std::unique_ptr<ChunkFile>> ChunkFile::Open(const std::string& folder,
                                                     std::span<const uint64_t> sizes,
                                                     std::shared_ptr<ChunkSpace> space) {
  UniqueFd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd.valid()) {  // not every file system has it
    std::string name = folder + "/chunks-XXXXXX";
    fd = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd.valid()) return ErrnoStatus(errno, StrCat("create ", name));
    ::unlink(name.c_str());
  }
  std::unique_ptr<ChunkFile> file(new ChunkFile(std::move(fd), std::move(space)));
  file->starts_.push_back(0);
  for (uint64_t size : sizes) {
    const int64_t left = INT64_MAX - kPage - file->starts_.back();
    if (size > static_cast<uint64_t>(left)) return InvalidArgumentError("chunks are too large");
    const int64_t pages = (static_cast<int64_t>(size) + kPage - 1) / kPage;
    file->starts_.push_back(file->starts_.back() + pages * kPage);
  }
  return file;
}

ChunkFile::~ChunkFile() {
  std::lock_guard lock(space_->mutex_);
  for (const auto& [chunk, place] : here_) space_->places_.erase(place);
  space_->bytes_ -= bytes_;
}

bool ChunkFile::Has(uint32_t chunk) const {
  std::lock_guard lock(space_->mutex_);
  return here_.contains(chunk);
}

int64_t ChunkFile::bytes() const {
  std::lock_guard lock(space_->mutex_);
  return bytes_;
}

StatusOr<bool> ChunkFile::Read(uint32_t chunk, uint64_t offset, std::span<char> out) {
  Places::iterator place;
  {
    std::lock_guard lock(space_->mutex_);
    auto found = here_.find(chunk);
    if (found == here_.end()) return false;
    place = found->second;
    ++place->readers;
    space_->places_.splice(space_->places_.begin(), space_->places_, place);
  }
  Status status;
  for (size_t done = 0; done < out.size() && status.ok();) {
    const off_t at = starts_[chunk] + static_cast<off_t>(offset + done);
    ssize_t count = ::pread(fd_.get(), out.data() + done, out.size() - done, at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status = ErrnoStatus(errno, "read chunks");
    if (count == 0) status = DataLossError("chunks: unexpected EOF");
    if (count > 0) done += static_cast<size_t>(count);
  }
  std::lock_guard lock(space_->mutex_);
  --place->readers;
  return status.ok() ? StatusOr<bool>(true) : status;
}

Status ChunkFile::Write(uint32_t chunk, std::string_view data) {
  if (Has(chunk)) return OkStatus();
  for (size_t done = 0; done < data.size();) {
    ssize_t count = ::pwrite(fd_.get(), data.data() + done, data.size() - done,
                             starts_[chunk] + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "write chunks");
    done += static_cast<size_t>(count);
  }
  std::lock_guard lock(space_->mutex_);
  auto [it, fresh] = here_.try_emplace(chunk);
  if (!fresh) return OkStatus();
  space_->places_.push_front({this, chunk});
  it->second = space_->places_.begin();
  bytes_ += RoomOf(chunk);
  space_->bytes_ += RoomOf(chunk);
  space_->MakeRoomLocked();
  return OkStatus();
}

}  // namespace kiln::cache
