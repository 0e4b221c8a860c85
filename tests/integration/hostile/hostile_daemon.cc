// A daemon: it answers what a client asks before a build, and in the place of the build it
// follows the script on a call to the client.
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "api/proto/control.grpc.pb.h"
#include "api/proto/gateway.grpc.pb.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "api/tunnel/tunnel.h"
#include "tests/integration/hostile/roles.h"

namespace kiln {
namespace {

namespace wire = moby::buildkit::v1;
namespace gateway = moby::buildkit::v1::frontend;
using ::fsutil::types::Packet;

class SessionStream final : public api::ByteStream {
 public:
  using Stream = grpc::ServerReaderWriter<wire::BytesMessage, wire::BytesMessage>;
  SessionStream(grpc::ServerContext& context, Stream& stream)
      : context_(context), stream_(stream) {}
  bool Read(std::string* bytes) override {
    wire::BytesMessage message;
    if (!stream_.Read(&message)) return false;
    *bytes = std::move(*message.mutable_data());
    return true;
  }
  bool Write(std::string_view bytes) override {
    wire::BytesMessage message;
    message.set_data(bytes.data(), bytes.size());
    return stream_.Write(message);
  }
  void Cancel() override { context_.TryCancel(); }

 private:
  grpc::ServerContext& context_;
  Stream& stream_;
};

class Daemon final : public wire::Control::Service, public gateway::LLBBridge::Service {
 public:
  explicit Daemon(const std::vector<std::string>& script) : script_(script) {}

  grpc::Status ListWorkers(grpc::ServerContext*, const wire::ListWorkersRequest*,
                           wire::ListWorkersResponse* response) override {
    response->add_record()->set_id("w");
    return grpc::Status::OK;
  }
  grpc::Status Session(grpc::ServerContext* context, SessionStream::Stream* stream) override {
    SessionStream bytes(*context, *stream);
    auto tunnel = api::Tunnel::Start(bytes);
    {
      std::lock_guard lock(mutex_);
      channel_ = grpc::CreateInsecureChannelFromFd("client", (*tunnel)->ReleaseGrpcFd());
    }
    changed_.notify_all();
    (*tunnel)->Wait();
    Say("the client has gone");
    return grpc::Status::OK;
  }
  grpc::Status Solve(grpc::ServerContext*, const wire::SolveRequest* request,
                     wire::SolveResponse*) override {
    std::shared_ptr<grpc::Channel> channel;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return channel_ != nullptr && returned_; });
      channel = channel_;
    }
    const bool sends = request->exporters_size() > 0 && request->exporters(0).type() == "local";
    grpc::ClientContext context;
    if (sends) {
      context.AddMetadata("buildkit-attachable-exporter-id", "0");
    } else {
      context.AddMetadata("dir-name", "context");
    }
    const char* method =
        sends ? "/moby.filesync.v1.FileSend/DiffCopy" : "/moby.filesync.v1.FileSync/DiffCopy";
    std::unique_ptr<grpc::ClientReaderWriter<Packet, Packet>> call(
        grpc::internal::ClientReaderWriterFactory<Packet, Packet>::Create(
            channel.get(),
            grpc::internal::RpcMethod(method, grpc::internal::RpcMethod::BIDI_STREAMING),
            &context));
    PacketEnds ends;
    ends.read = [&](Packet* packet) { return call->Read(packet); };
    ends.write = [&](const Packet& packet) { return call->Write(packet); };
    // The client ends the call without being asked to: seen by its health only here.
    ends.cancelled = [&] { return channel->GetState(false) != GRPC_CHANNEL_READY; };
    RunPacketScript(script_, ends);
    call->WritesDone();
    Packet rest;
    while (call->Read(&rest)) {
    }
    grpc::Status status = call->Finish();
    Say(status.ok() ? "the call is done" : status.error_message().c_str());
    return status;
  }
  grpc::Status Status(grpc::ServerContext*, const wire::StatusRequest*,
                      grpc::ServerWriter<wire::StatusResponse>*) override {
    return grpc::Status::OK;
  }
  grpc::Status Ping(grpc::ServerContext*, const gateway::PingRequest*,
                    gateway::PongResponse* response) override {
    // The reference's client gives a result back only to who says that it takes one.
    auto* cap = response->add_frontendapicaps();
    cap->set_id("return");
    cap->set_enabled(true);
    response->add_workers()->set_id("w");
    return grpc::Status::OK;
  }
  grpc::Status Solve(grpc::ServerContext*, const gateway::SolveRequest*,
                     gateway::SolveResponse* response) override {
    response->mutable_result()->mutable_ref()->set_id("r");
    return grpc::Status::OK;
  }
  grpc::Status Return(grpc::ServerContext*, const gateway::ReturnRequest*,
                      gateway::ReturnResponse*) override {
    {
      std::lock_guard lock(mutex_);
      returned_ = true;
    }
    changed_.notify_all();
    return grpc::Status::OK;
  }

 private:
  static void Say(const char* text) {
    std::printf("%s\n", text);
    std::fflush(stdout);
  }

  const std::vector<std::string>& script_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<grpc::Channel> channel_;
  bool returned_ = false;
};

}  // namespace

int BeDaemon(const std::string& socket, const std::vector<std::string>& script) {
  Daemon daemon(script);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(16 << 20);
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  builder.RegisterService(static_cast<wire::Control::Service*>(&daemon));
  builder.RegisterService(static_cast<gateway::LLBBridge::Service*>(&daemon));
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 2;
  server->Wait();
  return 0;
}

}  // namespace kiln
