// Byte streams of a session: outputs, ssh agents, uploads.
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>

#include <cerrno>
#include <thread>

#include "api/proto/session/filesync.grpc.pb.h"
#include "api/proto/session/ssh.grpc.pb.h"
#include "api/proto/session/upload.grpc.pb.h"
#include "api/session/live_session.h"
#include "api/session/session_headers.h"
#include "api/tunnel/go_error.h"
#include "api/tunnel/grpc_status.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

using FileMessage = moby::filesync::v1::BytesMessage;

// Every client takes messages of this size.
constexpr size_t kChunk = 1 << 20;

// An output stream of the client; the session's channel lives as long as it does.
class OutputSink : public worker::ByteSink {
 public:
  explicit OutputSink(std::shared_ptr<LiveSession> session)
      : session_(std::move(session)),
        stub_(moby::filesync::v1::FileSend::NewStub(session_->channel())) {}
  // Called once, before anything else.
  Status Start(const std::map<std::string, std::string>& metadata, std::string_view exporter_id) {
    for (const auto& [key, value] : metadata) {
      RETURN_IF_ERROR(AddHeader(context_, StrCat("exporter-md-", ToLower(key)), value));
    }
    RETURN_IF_ERROR(AddHeader(context_, "buildkit-attachable-exporter-id", exporter_id));
    stream_ = stub_->DiffCopy(&context_);
    return OkStatus();
  }
  ~OutputSink() override {
    if (closed_ || stream_ == nullptr) return;
    context_.TryCancel();
    stream_->Finish();
  }

  Status Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      FileMessage message;
      message.set_data(std::string(bytes.substr(0, kChunk)));
      bytes.remove_prefix(std::min(bytes.size(), kChunk));
      if (!stream_->Write(message)) return Failure();
    }
    return OkStatus();
  }
  Status Close() override {
    if (closed_) return OkStatus();
    stream_->WritesDone();
    // The client answers nothing; its end says that all is taken.
    FileMessage ignored;
    while (stream_->Read(&ignored)) {
    }
    closed_ = true;
    return StreamError(stream_->Finish());
  }

 private:
  Status Failure() {
    closed_ = true;
    FileMessage ignored;
    while (stream_->Read(&ignored)) {
    }
    Status status = StreamError(stream_->Finish());
    return status.ok() ? UnavailableError("client ended the output early") : status;
  }

  std::shared_ptr<LiveSession> session_;
  std::unique_ptr<moby::filesync::v1::FileSend::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<FileMessage, FileMessage>> stream_;
  bool closed_ = false;
};

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

StatusOr<std::unique_ptr<worker::ByteSink>> LiveSession::OpenOutput(
    const std::map<std::string, std::string>& metadata, std::string_view exporter_id) {
  constexpr std::string_view kMethod = "/moby.filesync.v1.FileSend/diffcopy";
  if (!Supports(kMethod)) {
    return UnknownError(StrCat("method ", kMethod, " not supported by the client"));
  }
  auto sink = std::make_unique<OutputSink>(shared_from_this());
  RETURN_IF_ERROR(sink->Start(metadata, exporter_id));
  return std::unique_ptr<worker::ByteSink>(std::move(sink));
}

Status LiveSession::ForwardSshAgent(std::string_view id, UniqueFd socket, std::stop_token stop) {
  using Message = moby::sshforward::v1::BytesMessage;
  grpc::ClientContext context;
  RETURN_IF_ERROR(AddHeader(context, "buildkit.ssh.id", id));
  auto stub = moby::sshforward::v1::SSH::NewStub(channel_);
  auto stream = stub->ForwardAgent(&context);
  std::stop_callback cancel(stop, [&] {
    shutdown(socket.get(), SHUT_RDWR);
    context.TryCancel();
  });
  std::thread to_client([&] {
    std::string buffer(64 << 10, '\0');
    while (true) {
      ssize_t count = recv(socket.get(), buffer.data(), buffer.size(), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      Message message;
      message.set_data(buffer.data(), static_cast<size_t>(count));
      if (!stream->Write(message)) break;
    }
    stream->WritesDone();
  });
  Message message;
  while (stream->Read(&message) && SendAll(socket.get(), message.data())) {
  }
  shutdown(socket.get(), SHUT_RDWR);
  to_client.join();
  context.TryCancel();
  Status status = FromGrpc(stream->Finish());
  return IsCancelled(status) && !stop.stop_requested() ? OkStatus() : status;
}

Status LiveSession::PullUpload(std::string_view path,
                               const std::function<Status(std::string_view)>& chunk,
                               std::stop_token stop) {
  using Message = moby::upload::v1::BytesMessage;
  // The path of http://buildkit-session/ID.
  grpc::ClientContext context;
  RETURN_IF_ERROR(AddHeader(context, "urlpath", path));
  context.AddMetadata("urlhost", "buildkit-session");
  std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  auto stub = moby::upload::v1::Upload::NewStub(channel_);
  auto stream = stub->Pull(&context);
  stream->WritesDone();
  Message message;
  Status taken;
  while (taken.ok() && stream->Read(&message)) taken = chunk(message.data());
  if (!taken.ok()) context.TryCancel();
  Status finished = StreamError(stream->Finish());
  return taken.ok() ? finished : taken;
}

}  // namespace kiln::api
