#include "api/containerd/containerd_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr int kMaxMessage = 16 << 20;
// Half of the time that the daemon has to stop: it may have a history record to write then.
constexpr std::chrono::seconds kConnectTime{5};
constexpr std::chrono::milliseconds kShortTime{500};
// Longer pauses than gRPC's first would outlast a restart of containerd.
constexpr int kReconnectMillis = 200;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  arguments.SetMaxSendMessageSize(kMaxMessage);
  for (const char* pause : {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                            GRPC_ARG_MAX_RECONNECT_BACKOFF_MS}) {
    arguments.SetInt(pause, kReconnectMillis);
  }
  // Go servers refuse the name that gRPC makes of a path.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  std::string target = address.starts_with("tcp://")
                           ? std::string(TrimPrefix(address, "tcp://"))
                           : StrCat("unix:", TrimPrefix(address, "unix://"));
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

ContainerdClient::ContainerdClient(const std::string& address, std::string name_space)
    : address_(address), namespace_(std::move(name_space)), channel_(OpenChannel(address)) {
  containers_ = ctd_containers::Containers::NewStub(channel_);
  introspection_ = ctd_introspection::Introspection::NewStub(channel_);
  tasks_ = ctd_tasks::Tasks::NewStub(channel_);
}

Status ContainerdClient::Connect() {
  using std::chrono::steady_clock;
  const bool missed = steady_clock::now() < missed_.load() + kConnectTime;
  Status connected = ConnectIn(missed ? kShortTime : kConnectTime);
  if (!connected.ok() && !missed) missed_ = steady_clock::now();
  return connected;
}

Status ContainerdClient::ConnectAtOnce() { return ConnectIn(kShortTime); }

Status ContainerdClient::ConnectIn(std::chrono::milliseconds wait) {
  if (channel_->WaitForConnected(std::chrono::system_clock::now() + wait)) return OkStatus();
  return UnavailableError(StrCat("containerd does not answer at ", address_));
}

google::protobuf::Any RuntimeSpecAny(std::string_view kind, std::string json) {
  google::protobuf::Any any;
  any.set_type_url(StrCat("types.containerd.io/opencontainers/runtime-spec/1/", kind));
  any.set_value(std::move(json));
  return any;
}

}  // namespace kiln::api
