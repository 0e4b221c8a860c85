// See session.h.
#include "api/client/session.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <mutex>

#include "api/tunnel/go_error.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/health.grpc.pb.h"
#include "api/tunnel/session_headers.h"
#include "api/tunnel/tunnel.h"
#include "api/tunnel/unknown_methods.h"
#include "base/file.h"

namespace kiln::api {
namespace {

namespace control = ::moby::buildkit::v1;
namespace health = ::grpc::health::v1;

class HealthService final : public health::Health::Service {
 public:
  grpc::Status Check(grpc::ServerContext*, const health::HealthCheckRequest*,
                     health::HealthCheckResponse* response) override {
    response->set_status(health::HealthCheckResponse::SERVING);
    return grpc::Status::OK;
  }
};

// Control.Session as the tunnel sees it.
class SessionStream final : public ByteStream {
 public:
  using Stream = grpc::ClientReaderWriter<control::BytesMessage, control::BytesMessage>;
  SessionStream(grpc::ClientContext& context, std::unique_ptr<Stream> stream)
      : context_(context), stream_(std::move(stream)) {}

  bool Read(std::string* bytes) override {
    control::BytesMessage message;
    if (!stream_->Read(&message)) return false;
    *bytes = std::move(*message.mutable_data());
    return true;
  }
  bool Write(std::string_view bytes) override {
    control::BytesMessage message;
    message.set_data(bytes.data(), bytes.size());
    return stream_->Write(message);
  }
  void Cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext& context_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace

struct Session::Serving {
  grpc::ClientContext context;
  std::unique_ptr<control::Control::Stub> stub;
  std::unique_ptr<SessionStream> stream;
  HealthService health;
  UnknownMethods unknown;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Tunnel> tunnel;
  std::once_flag closed;
};

Session::Session(std::string shared_key) : id_(NewId()), shared_key_(std::move(shared_key)) {}

Session::~Session() { Close(); }

Status Session::Start(Connection& connection) {
  auto serving = std::make_unique<Serving>();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMessageBytes);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.RegisterService(&serving->health);
  std::set<std::string, std::less<>> services = {"grpc.health.v1.Health"};
  auto add_header = [&](std::string_view name, const std::string& value) {
    serving->context.AddMetadata(std::string(name), value);
  };
  add_header(kSessionId, id_);
  add_header(kSessionSharedKey, shared_key_);
  for (const char* method : {"Check", "List", "Watch"}) {
    add_header(kSessionMethod, StrCat("/grpc.health.v1.Health/", method));
  }
  for (const Attachment& attachment : attachments_) {
    builder.RegisterService(attachment.service.get());
    for (const std::string& method : attachment.methods) {
      add_header(kSessionMethod, method);
      services.emplace(method.substr(1, method.rfind('/') - 1));
    }
  }
  serving->unknown.Know(std::move(services));
  builder.RegisterCallbackGenericService(&serving->unknown);
  serving->server = builder.BuildAndStart();
  if (serving->server == nullptr) return InternalError("failed to create session");
  serving->stub = control::Control::NewStub(connection.channel());
  serving->stream = std::make_unique<SessionStream>(serving->context,
                                                    serving->stub->Session(&serving->context));
  ASSIGN_OR_RETURN(serving->tunnel, Tunnel::Start(*serving->stream));
  grpc::AddInsecureChannelFromFd(serving->server.get(), serving->tunnel->ReleaseGrpcFd());
  serving_ = std::move(serving);
  return OkStatus();
}

void Session::Close() {
  if (serving_ == nullptr) return;
  std::call_once(serving_->closed, [this] {
    serving_->tunnel->Close();
    serving_->server->Shutdown(std::chrono::system_clock::now());
    serving_->tunnel->Wait();
  });
}

}  // namespace kiln::api
