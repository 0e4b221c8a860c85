#include "api/containerd/containerd_content.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstring>

namespace kiln::api {
namespace {

// Each read is a call of its own: callers read large pieces.
class ContentReader : public cache::BlobReader {
 public:
  ContentReader(ContainerdClient& client, ctd_content::Content::Stub& content, Digest digest,
                uint64_t size)
      : client_(client), content_(content), digest_(std::move(digest)), size_(size) {}

  uint64_t size() const override { return size_; }

  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    if (offset >= size_ || buffer.empty()) return size_t{0};
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size_ - offset));
    ctd_content::ReadContentRequest request;
    request.set_digest(digest_.text());
    request.set_offset(static_cast<int64_t>(offset));
    request.set_size(static_cast<int64_t>(wanted));
    grpc::ClientContext context;
    client_.Prepare(context);
    auto stream = content_.Read(&context, request);
    size_t done = 0;
    for (ctd_content::ReadContentResponse response; stream->Read(&response);) {
      const size_t count = std::min(response.data().size(), wanted - done);
      std::memcpy(buffer.data() + done, response.data().data(), count);
      done += count;
    }
    const grpc::Status status = stream->Finish();
    if (!status.ok()) {
      return Status(static_cast<StatusCode>(status.error_code()), status.error_message());
    }
    return done;
  }

 private:
  ContainerdClient& client_;
  ctd_content::Content::Stub& content_;
  Digest digest_;
  uint64_t size_;
};

}  // namespace

StatusOr<std::unique_ptr<cache::BlobReader>> OpenContainerdBlob(ContainerdClient& client,
                                                                ctd_content::Content::Stub& content,
                                                                const Digest& digest) {
  ctd_content::InfoRequest request;
  request.set_digest(digest.text());
  ctd_content::InfoResponse response;
  RETURN_IF_ERROR(client.Call(content, &ctd_content::Content::Stub::Info, request, &response));
  return std::unique_ptr<cache::BlobReader>(std::make_unique<ContentReader>(
      client, content, digest, static_cast<uint64_t>(response.info().size())));
}

}  // namespace kiln::api
