// A session by hand that stops answering.
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "api/client/connection.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/health.grpc.pb.h"
#include "api/tunnel/session_headers.h"
#include "api/tunnel/tunnel.h"
#include "base/file.h"
#include "tests/integration/session/roles.h"

namespace kiln {
namespace {

namespace wire = moby::buildkit::v1;
namespace health = grpc::health::v1;
using Clock = std::chrono::steady_clock;

long Since(Clock::time_point start) {
  return static_cast<long>(
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
}

class TiringHealth final : public health::Health::Service {
 public:
  TiringHealth(int checks, Clock::time_point start) : left_(checks), start_(start) {}

  grpc::Status Check(grpc::ServerContext* context, const health::HealthCheckRequest*,
                     health::HealthCheckResponse* response) override {
    std::unique_lock lock(mutex_);
    if (left_ > 0) {
      response->set_status(health::HealthCheckResponse::SERVING);
      if (--left_ == 0) Say("answered");
      return grpc::Status::OK;
    }
    // Until the daemon gives up, or the program ends.
    while (!over_ && !context->IsCancelled()) changed_.wait_for(lock, std::chrono::milliseconds(20));
    return grpc::Status::CANCELLED;
  }
  void End() {
    std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
    Say("closed");
  }

 private:
  void Say(const char* what) {
    std::printf("%s %ld\n", what, Since(start_));
    std::fflush(stdout);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int left_;
  bool over_ = false;
  const Clock::time_point start_;
};

class Stream final : public api::ByteStream {
 public:
  Stream(wire::Control::Stub& stub, grpc::ClientContext& context)
      : context_(context), stream_(stub.Session(&context)) {}
  bool Read(std::string* bytes) override {
    wire::BytesMessage message;
    if (!stream_->Read(&message)) return false;
    *bytes = std::move(*message.mutable_data());
    return true;
  }
  bool Write(std::string_view bytes) override {
    wire::BytesMessage message;
    message.set_data(bytes.data(), bytes.size());
    return stream_->Write(message);
  }
  void Cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext& context_;
  std::unique_ptr<grpc::ClientReaderWriter<wire::BytesMessage, wire::BytesMessage>> stream_;
};

}  // namespace

int BeSilent(const std::string& address, const std::string& timeout, int checks) {
  api::ConnectionOptions options;
  options.address = address;
  auto connection = api::Connection::Open(options);
  if (!connection.ok()) return 2;
  auto stub = wire::Control::NewStub((*connection)->channel());
  grpc::ClientContext context;
  context.AddMetadata(std::string(api::kSessionId), NewId());
  if (timeout != "-") context.AddMetadata(std::string(api::kSessionHealthTimeout), timeout);
  TiringHealth service(checks, Clock::now());
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  Stream stream(*stub, context);
  auto tunnel = api::Tunnel::Start(stream);
  if (server == nullptr || !tunnel.ok()) return 2;
  grpc::AddInsecureChannelFromFd(server.get(), (*tunnel)->ReleaseGrpcFd());
  (*tunnel)->Wait();
  service.End();
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace kiln
