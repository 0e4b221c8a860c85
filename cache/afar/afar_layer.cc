#include "cache/afar/afar_layer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "oci/estargz.h"
#include "oci/estargz_reader.h"

namespace kiln::cache {
namespace {

// Small files lie beside those that are read next; who reads on gets more at a time.
constexpr uint64_t kWindow = 32 << 10;
constexpr uint64_t kMaxWindow = 4 << 20;
// A source that is silent, not gone, is not waited for again at once: the kernel asks twice.
constexpr auto kSlow = std::chrono::seconds(5);

}  // namespace

StatusOr<std::shared_ptr<AfarLayer>> AfarLayer::Open(oci::Descriptor blob,
                                                     std::shared_ptr<BlobRanges> ranges,
                                                     const std::string& folder,
                                                     std::shared_ptr<ChunkSpace> space,
                                                     std::stop_token stop) {
  if (oci::CompressionOf(blob.media_type) != oci::Compression::kGzip) {
    return FailedPreconditionError(StrCat("no eStargz: ", blob.media_type));
  }
  auto note = blob.annotations.find(std::string(oci::kTocDigestNote));
  if (note == blob.annotations.end() || blob.size <= 0) {
    return FailedPreconditionError("the manifest has no digest of a table of contents");
  }
  ASSIGN_OR_RETURN(Digest toc, Digest::Parse(note->second));
  if (ranges == nullptr) return FailedPreconditionError("its source has no ranges");
  auto read = [&](uint64_t offset, uint64_t length) {
    return ranges->ReadRange(blob, offset, length, stop);
  };
  ASSIGN_OR_RETURN(oci::EstargzTree tree,
                   oci::ReadEstargzTree(read, static_cast<uint64_t>(blob.size), toc));
  std::vector<uint64_t> sizes;
  for (const oci::EstargzChunk& chunk : tree.chunks()) sizes.push_back(chunk.size);
  ASSIGN_OR_RETURN(std::unique_ptr<ChunkFile> chunks,
                   ChunkFile::Open(folder, sizes, std::move(space)));
  return std::shared_ptr<AfarLayer>(new AfarLayer(std::move(blob), std::move(ranges),
                                                  std::move(tree), std::move(chunks)));
}

StatusOr<size_t> AfarLayer::Read(uint32_t node, uint64_t offset, std::span<char> out) {
  const oci::EstargzNode& file = tree_.nodes()[node];
  if (offset >= file.size) return size_t{0};
  out = out.first(std::min<uint64_t>(out.size(), file.size - offset));
  auto chunks = std::span(tree_.chunks()).subspan(file.first_chunk, file.chunk_count);
  auto at = std::upper_bound(chunks.begin(), chunks.end(), offset,
                             [](uint64_t wanted, const oci::EstargzChunk& chunk) {
                               return wanted < chunk.file_offset;
                             });
  auto index = file.first_chunk + static_cast<uint32_t>(at - chunks.begin()) - 1;
  size_t done = 0;
  for (; done < out.size(); ++index) {
    const oci::EstargzChunk& chunk = tree_.chunks()[index];
    const uint64_t inside = offset + done - chunk.file_offset;
    auto part = out.subspan(done, std::min<uint64_t>(out.size() - done, chunk.size - inside));
    RETURN_IF_ERROR(ReadChunk(index, inside, part));
    done += part.size();
  }
  return done;
}

// The stream after the last one to fetch together with `first`.
uint32_t AfarLayer::WindowLocked(uint32_t first) {
  window_ = first == next_ ? std::min(window_ * 2, kMaxWindow) : kWindow;
  const auto& streams = tree_.streams();
  uint32_t end = first + 1;
  while (end < streams.size() && !BusyLocked(end) &&
         streams[end].end - streams[first].offset <= window_ &&
         !chunks_->Has(tree_.stream_chunks()[streams[end].first])) {
    ++end;
  }
  return next_ = end;
}

Status AfarLayer::ReadChunk(uint32_t chunk, uint64_t offset, std::span<char> out) {
  const uint32_t stream = tree_.chunks()[chunk].stream;
  const auto arrived = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    done_.wait(lock, [&] { return !BusyLocked(stream); });
    lock.unlock();
    ASSIGN_OR_RETURN(const bool here, chunks_->Read(chunk, offset, out));
    if (here) return OkStatus();
    lock.lock();
    if (BusyLocked(stream)) continue;
    if (!failed_.ok() && (failed_at_ > arrived || arrived < patience_)) return failed_;
    break;
  }
  const uint32_t end = WindowLocked(stream);
  for (uint32_t i = stream; i < end; ++i) busy_.insert(i);
  lock.unlock();
  const auto begun = std::chrono::steady_clock::now();
  Status status = Fetch(stream, end, chunk, offset, out);
  lock.lock();
  for (uint32_t i = stream; i < end; ++i) busy_.erase(i);
  failed_ = status.code() == StatusCode::kDataLoss ? OkStatus() : status;  // other bytes may do
  failed_at_ = std::chrono::steady_clock::now();
  if (failed_at_ - begun > kSlow) patience_ = failed_at_ + kSlow;
  done_.notify_all();
  lock.unlock();
  if (!status.ok() && !stop_.stop_requested()) {
    log::Error("cannot read a layer that is used from afar",
               {{"layer", blob_.digest.text()}, {"error", status.message()}});
  }
  return status;
}

// What comes with the chunk that is wanted is a bonus: if it is damaged, or finds no room, it
// is fetched again when somebody wants it.
Status AfarLayer::Fetch(uint32_t first, uint32_t end, uint32_t wanted, uint64_t offset,
                        std::span<char> out) {
  const auto& streams = tree_.streams();
  const uint64_t from = streams[first].offset;
  ASSIGN_OR_RETURN(std::string bytes, ranges_->ReadRange(blob_, from, streams[end - 1].end - from,
                                                         stop_.get_token()));
  if (bytes.size() != streams[end - 1].end - from) return DataLossError("unexpected EOF");
  bool found = false;
  auto keep = [&](uint32_t chunk, std::string_view data) {
    if (chunk == wanted) {
      std::memcpy(out.data(), data.data() + offset, out.size());
      found = true;
    }
    if (Status kept = chunks_->Write(chunk, data); !kept.ok()) {
      log::Debug("a chunk of a layer is not kept", {{"error", kept.message()}});
    }
    return OkStatus();
  };
  for (uint32_t i = first; i < end; ++i) {
    auto stream = std::string_view(bytes).substr(streams[i].offset - from,
                                                 streams[i].end - streams[i].offset);
    Status read = oci::ReadEstargzStream(tree_, i, stream, keep);
    if (i == first && !found) return read;
  }
  return OkStatus();
}

}  // namespace kiln::cache
