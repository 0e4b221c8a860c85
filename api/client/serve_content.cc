// containerd's content service over OCI layout folders, chosen by a header.
#include <grpcpp/server_context.h>

#include "api/client/attachments.h"
#include "api/client/layout_store.h"
#include "api/proto/content.grpc.pb.h"
#include "api/tunnel/error_stack.h"

namespace kiln::api {
namespace {

namespace content = ::containerd::services::content::v1;
using WriteStream =
    grpc::ServerReaderWriter<content::WriteContentResponse, content::WriteContentRequest>;

constexpr const char* kStoreHeader = "buildkit-attachable-store-id";

void SetStamp(int64_t nanos, google::protobuf::Timestamp* out) {
  out->set_seconds(nanos / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

void FillInfo(const Digest& digest, const LayoutBlob& blob, content::Info* info) {
  info->set_digest(digest.text());
  info->set_size(blob.size);
  SetStamp(blob.mtime_nanos, info->mutable_created_at());
  SetStamp(blob.mtime_nanos, info->mutable_updated_at());
}

class ContentService final : public content::Content::Service {
 public:
  explicit ContentService(std::map<std::string, std::string> dirs) : dirs_(std::move(dirs)) {}

  grpc::Status Info(grpc::ServerContext* context, const content::InfoRequest* request,
                    content::InfoResponse* response) override {
    kiln::Status status = [&]() -> kiln::Status {
      ASSIGN_OR_RETURN(LayoutStore store, Choose(*context));
      ASSIGN_OR_RETURN(Digest digest, Digest::Parse(request->digest()));
      ASSIGN_OR_RETURN(LayoutBlob blob, store.Stat(digest));
      FillInfo(digest, blob, response->mutable_info());
      return OkStatus();
    }();
    if (status.ok()) return grpc::Status::OK;
    // containerd's store answers with the text of a call's failure.
    return ToGrpcWithStack(kiln::Status(
        status.code(), StrCat("rpc error: code = ", StatusCodeName(status.code()),
                                               " desc = ", status.message())));
  }

  // Labels are not kept by a layout folder; the answer is the blob as it is.
  grpc::Status Update(grpc::ServerContext* context, const content::UpdateRequest* request,
                      content::UpdateResponse* response) override {
    return ToGrpcWithStack([&]() -> kiln::Status {
      ASSIGN_OR_RETURN(LayoutStore store, Choose(*context));
      ASSIGN_OR_RETURN(Digest digest, Digest::Parse(request->info().digest()));
      ASSIGN_OR_RETURN(LayoutBlob blob, store.Stat(digest));
      FillInfo(digest, blob, response->mutable_info());
      return OkStatus();
    }());
  }

  grpc::Status List(grpc::ServerContext* context, const content::ListContentRequest*,
                    grpc::ServerWriter<content::ListContentResponse>* writer) override {
    return ToGrpcWithStack([&]() -> kiln::Status {
      ASSIGN_OR_RETURN(LayoutStore store, Choose(*context));
      content::ListContentResponse response;
      RETURN_IF_ERROR(store.Each([&](const Digest& digest) -> kiln::Status {
        ASSIGN_OR_RETURN(LayoutBlob blob, store.Stat(digest));
        FillInfo(digest, blob, response.add_info());
        return OkStatus();
      }));
      writer->Write(response);
      return OkStatus();
    }());
  }

  grpc::Status Read(grpc::ServerContext* context, const content::ReadContentRequest* request,
                    grpc::ServerWriter<content::ReadContentResponse>* writer) override {
    return ToGrpcWithStack([&]() -> kiln::Status {
      ASSIGN_OR_RETURN(LayoutStore store, Choose(*context));
      ASSIGN_OR_RETURN(Digest digest, Digest::Parse(request->digest()));
      content::ReadContentResponse response;
      return store.Read(digest, request->offset(), request->size(),
                        [&](int64_t offset, std::string_view bytes) {
                          response.set_offset(offset);
                          response.set_data(bytes.data(), bytes.size());
                          return writer->Write(response) ? OkStatus() : CancelledError("canceled");
                        });
    }());
  }

  grpc::Status Status(grpc::ServerContext*, const content::StatusRequest* request,
                      content::StatusResponse*) override {
    // Writers keep nothing across streams.
    return ToGrpcWithStack(NotFoundError(StrCat("ref ", request->ref(), ": not found")));
  }

  grpc::Status Abort(grpc::ServerContext*, const content::AbortRequest* request,
                     google::protobuf::Empty*) override {
    return ToGrpcWithStack(NotFoundError(StrCat("ref ", request->ref(), ": not found")));
  }

  grpc::Status ListStatuses(grpc::ServerContext*, const content::ListStatusesRequest*,
                            content::ListStatusesResponse*) override {
    return grpc::Status::OK;
  }

  grpc::Status Write(grpc::ServerContext* context, WriteStream* stream) override {
    return ToGrpcWithStack(WriteBlob(*context, *stream));
  }

 private:
  StatusOr<LayoutStore> Choose(const grpc::ServerContext& context) const {
    auto header = context.client_metadata().find(kStoreHeader);
    if (header == context.client_metadata().end()) {
      return InvalidArgumentError(
          StrCat("request lacks metadata ", Quote(kStoreHeader), ": invalid argument"));
    }
    std::string id(header->second.data(), header->second.size());
    auto dir = dirs_.find(id);
    if (dir == dirs_.end()) return NotFoundError(StrCat("unknown store ", id, ": not found"));
    return LayoutStore(dir->second);
  }

  kiln::Status WriteBlob(const grpc::ServerContext& context, WriteStream& stream) {
    ASSIGN_OR_RETURN(LayoutStore store, Choose(context));
    content::WriteContentRequest request;
    std::unique_ptr<LayoutWriter> writer;
    Digest expected;
    int64_t total = 0;
    while (stream.Read(&request)) {
      if (!request.expected().empty()) {
        ASSIGN_OR_RETURN(expected, Digest::Parse(request.expected()));
      }
      if (request.total() > 0) total = request.total();
      if (writer == nullptr) {
        if (request.ref().empty()) return InvalidArgumentError("first message must have a reference");
        ASSIGN_OR_RETURN(writer, store.Open(expected));
      }
      content::WriteContentResponse response;
      response.set_action(request.action());
      if (request.action() != content::STAT && !request.data().empty()) {
        if (request.offset() != writer->offset()) {
          if (request.offset() != 0) {
            return OutOfRangeError(StrCat("write @", request.offset(),
                                          " must occur at current offset ", writer->offset()));
          }
          RETURN_IF_ERROR(writer->Truncate());
        }
        RETURN_IF_ERROR(writer->Write(request.data()));
      }
      response.set_offset(writer->offset());
      response.set_total(total);
      if (request.action() == content::COMMIT) {
        response.set_digest(writer->digest().text());
        RETURN_IF_ERROR(writer->Commit(total, expected));
      }
      if (!stream.Write(response)) return CancelledError("canceled");
      if (request.action() == content::COMMIT) return OkStatus();
    }
    return OkStatus();
  }

  std::map<std::string, std::string> dirs_;
};

}  // namespace

Attachment ServeContent(std::map<std::string, std::string> dirs) {
  Attachment attachment{std::make_shared<ContentService>(std::move(dirs)), {}};
  for (const char* method : {"Info", "Update", "List", "Delete", "Read", "Status", "ListStatuses",
                             "Write", "Abort"}) {
    attachment.methods.push_back(StrCat("/containerd.services.content.v1.Content/", method));
  }
  return attachment;
}

}  // namespace kiln::api
