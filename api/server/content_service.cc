// containerd's Content service over the store: reading only.
#include <grpcpp/grpcpp.h>

#include "api/proto/content.grpc.pb.h"
#include "api/server/progress_codec.h"
#include "api/server/reactor.h"
#include "api/server/services.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace wire = containerd::services::content::v1;

constexpr size_t kChunk = 1 << 20;
constexpr int kListBatch = 100;
constexpr char kReadOnly[] = "read-only content store";

class ContentService : public wire::Content::CallbackService {
 public:
  ContentService(const ServerParts& parts, CallThreads& threads)
      : parts_(parts), threads_(threads) {}

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext*, const wire::InfoRequest* request,
                                 wire::InfoResponse* response) override {
    return UnaryCall::Start(threads_, [=, this](std::stop_token) -> kiln::Status {
      ASSIGN_OR_RETURN(Digest digest, Digest::Parse(request->digest()));
      auto stat = store().Stat(digest);
      if (!stat.ok()) return NotFoundError(StrCat("content ", digest.text(), ": not found"));
      response->mutable_info()->set_digest(digest.text());
      response->mutable_info()->set_size(stat->size);
      return OkStatus();
    });
  }

  grpc::ServerWriteReactor<wire::ListContentResponse>* List(
      grpc::CallbackServerContext*, const wire::ListContentRequest*) override {
    return ServerStreamCall<wire::ListContentResponse>::Start(
        threads_, [this](auto& call, std::stop_token) -> kiln::Status {
          ASSIGN_OR_RETURN(auto blobs, store().List());
          wire::ListContentResponse batch;
          for (const cache::BlobStat& blob : blobs) {
            wire::Info* info = batch.add_info();
            info->set_digest(blob.digest.text());
            info->set_size(blob.size);
            if (batch.info_size() < kListBatch) continue;
            if (!call.Write(std::move(batch))) return CancelledError("client is gone");
            batch.Clear();
          }
          if (batch.info_size() > 0) call.Write(std::move(batch));
          return OkStatus();
        });
  }

  grpc::ServerWriteReactor<wire::ReadContentResponse>* Read(
      grpc::CallbackServerContext*, const wire::ReadContentRequest* request) override {
    return ServerStreamCall<wire::ReadContentResponse>::Start(
        threads_, [this, request](auto& call, std::stop_token) -> kiln::Status {
          ASSIGN_OR_RETURN(Digest digest, Digest::Parse(request->digest()));
          auto blob = store().Open(digest);
          if (!blob.ok()) return NotFoundError(StrCat("content ", digest.text(), ": not found"));
          return SendRange(call, **blob, *request);
        });
  }

  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const wire::StatusRequest* request,
                                   wire::StatusResponse*) override {
    return Refuse(context, grpc::Status(grpc::StatusCode::NOT_FOUND,
                                        StrCat("ref ", request->ref(), ": not found")));
  }
  grpc::ServerUnaryReactor* ListStatuses(grpc::CallbackServerContext* context,
                                         const wire::ListStatusesRequest*,
                                         wire::ListStatusesResponse*) override {
    return Refuse(context, grpc::Status::OK);
  }
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const wire::UpdateRequest*, wire::UpdateResponse*) override {
    return Refuse(context, grpc::Status(grpc::StatusCode::UNKNOWN, kReadOnly));
  }
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const wire::DeleteContentRequest*,
                                   google::protobuf::Empty*) override {
    return Refuse(context, grpc::Status(grpc::StatusCode::UNKNOWN, kReadOnly));
  }
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context, const wire::AbortRequest*,
                                  google::protobuf::Empty*) override {
    return Refuse(context, grpc::Status(grpc::StatusCode::UNKNOWN, kReadOnly));
  }
  grpc::ServerBidiReactor<wire::WriteContentRequest, wire::WriteContentResponse>* Write(
      grpc::CallbackServerContext*) override {
    return BidiCall<wire::WriteContentRequest, wire::WriteContentResponse>::Start(
        threads_, [](auto&, std::stop_token) -> kiln::Status { return UnknownError(kReadOnly); });
  }

 private:
  cache::ContentStore& store() { return parts_.refs->content(); }

  static grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                          const grpc::Status& status) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  template <typename Call>
  static kiln::Status SendRange(Call& call, const cache::BlobReader& blob,
                                const wire::ReadContentRequest& request) {
    if (request.offset() < 0 || request.offset() > static_cast<int64_t>(blob.size())) {
      return OutOfRangeError(StrCat("read past object length ", blob.size(), " bytes"));
    }
    auto offset = static_cast<uint64_t>(request.offset());
    uint64_t end = blob.size();
    if (request.size() > 0) end = std::min(end, offset + static_cast<uint64_t>(request.size()));
    std::vector<std::byte> buffer(kChunk);
    while (offset < end) {
      size_t want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - offset));
      ASSIGN_OR_RETURN(size_t count, blob.ReadAt(offset, std::span(buffer).first(want)));
      if (count == 0) return DataLossError("content ended early");
      wire::ReadContentResponse response;
      response.set_offset(static_cast<int64_t>(offset));
      response.set_data(buffer.data(), count);
      if (!call.Write(std::move(response))) return CancelledError("client is gone");
      offset += count;
    }
    return OkStatus();
  }

  const ServerParts& parts_;
  CallThreads& threads_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeContentService(const ServerParts& parts, CallThreads& threads) {
  return std::make_unique<ContentService>(parts, threads);
}

}  // namespace kiln::api
