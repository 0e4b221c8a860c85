// The client's content stores (oci-layout contexts, local caches).
#include <grpcpp/grpcpp.h>

#include <cstring>
#include <mutex>

#include "api/proto/content.grpc.pb.h"
#include "api/session/live_session.h"
#include "api/session/session_headers.h"
#include "api/tunnel/go_error.h"
#include "api/tunnel/grpc_status.h"
#include "base/file.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace wire = containerd::services::content::v1;

constexpr char kStoreHeader[] = "buildkit-attachable-store-id";
constexpr size_t kChunk = 1 << 20;

// Reads ranges by a stream each; a reader that goes on where it stopped keeps its stream.
class RemoteBlobReader : public cache::BlobReader {
 public:
  RemoteBlobReader(std::shared_ptr<LiveSession> session, std::string store, Digest digest,
                   uint64_t size)
      : session_(std::move(session)),
        stub_(wire::Content::NewStub(session_->channel())),
        store_(std::move(store)),
        digest_(std::move(digest)),
        size_(size) {}
  ~RemoteBlobReader() override { Drop(); }

  uint64_t size() const override { return size_; }

  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    std::lock_guard lock(mutex_);
    if (offset >= size_ || buffer.empty()) return size_t{0};
    if (stream_ == nullptr || offset != position_) RETURN_IF_ERROR(Open(offset));
    while (pending_.empty()) {
      wire::ReadContentResponse response;
      if (!stream_->Read(&response)) return End();
      pending_ = std::move(*response.mutable_data());
      used_ = 0;
    }
    size_t count = std::min(buffer.size(), pending_.size() - used_);
    std::memcpy(buffer.data(), pending_.data() + used_, count);
    used_ += count;
    position_ += count;
    if (used_ == pending_.size()) pending_.clear();
    return count;
  }

 private:
  Status Open(uint64_t offset) const {
    Drop();
    context_ = std::make_unique<grpc::ClientContext>();
    RETURN_IF_ERROR(AddHeader(*context_, kStoreHeader, store_));
    wire::ReadContentRequest request;
    request.set_digest(digest_.text());
    request.set_offset(static_cast<int64_t>(offset));
    stream_ = stub_->Read(context_.get(), request);
    pending_.clear();
    position_ = offset;
    return OkStatus();
  }
  void Drop() const {
    if (stream_ == nullptr) return;
    context_->TryCancel();
    stream_->Finish();
    stream_.reset();
  }
  StatusOr<size_t> End() const {
    Status status = FromGrpc(stream_->Finish());
    stream_.reset();
    RETURN_IF_ERROR(status);
    return DataLossError(StrCat("content ", digest_.text(), " ended early"));
  }

  std::shared_ptr<LiveSession> session_;
  std::unique_ptr<wire::Content::Stub> stub_;
  std::string store_;
  Digest digest_;
  uint64_t size_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<grpc::ClientContext> context_;
  mutable std::unique_ptr<grpc::ClientReader<wire::ReadContentResponse>> stream_;
  mutable std::string pending_;
  mutable size_t used_ = 0;
  mutable uint64_t position_ = 0;
};

class RemoteBlobs : public cache::BlobSource {
 public:
  RemoteBlobs(std::shared_ptr<LiveSession> session, std::string store)
      : session_(std::move(session)), store_(std::move(store)) {}
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
    ASSIGN_OR_RETURN(cache::BlobStat stat, session_->StatContent(store_, blob.digest));
    return std::unique_ptr<cache::BlobReader>(std::make_unique<RemoteBlobReader>(
        session_, store_, blob.digest, static_cast<uint64_t>(stat.size)));
  }

 private:
  std::shared_ptr<LiveSession> session_;
  std::string store_;
};

using WriteStream = grpc::ClientReaderWriter<wire::WriteContentRequest, wire::WriteContentResponse>;

// One message and its answer; the store answers each message of the stream.
Status Exchange(WriteStream& stream, const wire::WriteContentRequest& request,
                wire::WriteContentResponse* response) {
  if (stream.Write(request) && stream.Read(response)) return OkStatus();
  return UnavailableError("client ended the write early");
}

Status Transfer(WriteStream& stream, const oci::Descriptor& blob, cache::BlobReader& bytes) {
  wire::WriteContentRequest request;
  wire::WriteContentResponse response;
  request.set_action(wire::STAT);
  request.set_ref(StrCat("kiln-", blob.digest.hex(), "-", NewId()));
  request.set_total(blob.size);
  request.set_expected(blob.digest.text());
  RETURN_IF_ERROR(Exchange(stream, request, &response));
  std::vector<std::byte> buffer(kChunk);
  uint64_t offset = 0;
  request.set_action(wire::WRITE);
  while (true) {
    ASSIGN_OR_RETURN(size_t count, bytes.ReadAt(offset, buffer));
    if (count == 0) break;
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(buffer.data(), count);
    RETURN_IF_ERROR(Exchange(stream, request, &response));
    offset += count;
  }
  request.set_action(wire::COMMIT);
  request.set_offset(static_cast<int64_t>(offset));
  request.clear_data();
  return Exchange(stream, request, &response);
}

}  // namespace

std::shared_ptr<cache::BlobSource> LiveSession::Content(std::string_view store) {
  return std::make_shared<RemoteBlobs>(shared_from_this(), std::string(store));
}

StatusOr<cache::BlobStat> LiveSession::StatContent(std::string_view store, const Digest& digest) {
  grpc::ClientContext context;
  RETURN_IF_ERROR(AddHeader(context, kStoreHeader, store));
  wire::InfoRequest request;
  request.set_digest(digest.text());
  wire::InfoResponse response;
  RETURN_IF_ERROR(UnaryError(wire::Content::NewStub(channel_)->Info(&context, request, &response)));
  return cache::BlobStat{digest, response.info().size()};
}

Status LiveSession::WriteContent(std::string_view store, const oci::Descriptor& blob,
                                 cache::BlobReader& bytes) {
  if (StatContent(store, blob.digest).ok()) return OkStatus();
  grpc::ClientContext context;
  RETURN_IF_ERROR(AddHeader(context, kStoreHeader, store));
  auto stub = wire::Content::NewStub(channel_);
  auto stream = stub->Write(&context);
  Status written = Transfer(*stream, blob, bytes);
  stream->WritesDone();
  if (!written.ok()) context.TryCancel();
  // containerd's store answers the commit twice; the end comes after what is unread.
  wire::WriteContentResponse ignored;
  while (stream->Read(&ignored)) {
  }
  Status finished = FromGrpc(stream->Finish());
  // Somebody else committed the same blob meanwhile.
  if (finished.code() == StatusCode::kAlreadyExists) return OkStatus();
  if (!finished.ok() && !(IsCancelled(finished) && !written.ok())) return finished;
  return written;
}

}  // namespace kiln::api
