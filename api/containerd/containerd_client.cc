#include "api/containerd/containerd_client.h"

#include <grpcpp/grpcpp.h>

#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr int kMaxMessage = 16 << 20;

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  arguments.SetMaxSendMessageSize(kMaxMessage);
  // Go servers refuse the name that gRPC makes of a path.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  std::string target = address.starts_with("tcp://")
                           ? std::string(TrimPrefix(address, "tcp://"))
                           : StrCat("unix:", TrimPrefix(address, "unix://"));
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

ContainerdClient::ContainerdClient(const std::string& address, std::string name_space)
    : namespace_(std::move(name_space)), channel_(Connect(address)) {
  containers_ = ctd_containers::Containers::NewStub(channel_);
  introspection_ = ctd_introspection::Introspection::NewStub(channel_);
  tasks_ = ctd_tasks::Tasks::NewStub(channel_);
}

google::protobuf::Any RuntimeSpecAny(std::string_view kind, std::string json) {
  google::protobuf::Any any;
  any.set_type_url(StrCat("types.containerd.io/opencontainers/runtime-spec/1/", kind));
  any.set_value(std::move(json));
  return any;
}

}  // namespace kiln::api
