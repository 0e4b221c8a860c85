// NewContainer and its files; the processes are in bridge_exec.cc.
#include <arpa/inet.h>

#include "api/proto/gateway.pb.h"
#include "api/server/bridge_calls.h"
#include "api/tunnel/session_headers.h"
#include "base/file.h"
#include "base/strings.h"
#include "control/bridge.h"
#include "control/file_reader.h"
#include "worker/op/container.h"
#include "worker/worker.h"

namespace kiln::api {
namespace {

Status CheckIp(const std::string& ip) {
  in6_addr six = {};
  in_addr four = {};
  if (::inet_pton(AF_INET, ip.c_str(), &four) == 1 ||
      ::inet_pton(AF_INET6, ip.c_str(), &six) == 1) {
    return OkStatus();
  }
  return UnknownError(StrCat("failed to parse IP ", ip));
}

// The mounts with their trees as inputs.
Status AddMounts(ClientFrontend& frontend, const gateway::NewContainerRequest& request,
                 worker::ContainerRequest* out) {
  auto mounts = std::make_shared<pb::ExecOp>();
  for (const pb::Mount& in : request.mounts()) {
    pb::Mount& mount = *mounts->add_mounts();
    mount = in;
    mount.set_input(-1);
    mount.set_output(0);  // each tree that can be written is a copy of its own
    if (in.resultid().empty()) continue;
    auto tree = frontend.TreeOf(in.resultid());
    if (!tree.ok()) {
      return Annotate(tree.status(), StrCat("failed to find ref ", in.resultid(), " for ",
                                            Quote(in.dest()), " mount"));
    }
    mount.set_input(static_cast<int64_t>(out->inputs.size()));
    out->inputs.push_back(*std::move(tree));
  }
  out->mounts = std::move(mounts);
  return OkStatus();
}

StatusOr<std::string> MountOf(ClientFrontend& frontend, const std::string& id, int index) {
  auto container = frontend.containers().Find(id);
  if (container == nullptr) {
    return UnknownError(StrCat("container details for ", id, "@", index, " not found"));
  }
  if (index < 0) {
    return UnknownError(StrCat("mount index ", index, " is out of bounds"));
  }
  return container->MountedPath(static_cast<size_t>(index));
}

// Paths in containers are absolute.
Status CheckAbsolute(const std::string& path) {
  std::string clean = CleanPath(path);
  if (clean.starts_with('/')) return OkStatus();
  return UnknownError(StrCat("can't make ", path, " relative to /"));
}

}  // namespace

Status NewContainer(ClientFrontend& frontend, const gateway::NewContainerRequest& request) {
  worker::ContainerRequest container;
  container.id = request.containerid();
  container.network = static_cast<worker::exec::NetMode>(request.network());
  auto& bridge = static_cast<control::BuildBridge&>(frontend.bridge());
  ASSIGN_OR_RETURN(container.proxy, bridge.ProxyFor(request.network()));
  container.hostname = request.hostname();
  if (request.has_platform()) container.os = request.platform().os();
  container.session = frontend.bridge().build_opts().session_id;
  RETURN_IF_ERROR(AddMounts(frontend, request, &container));
  for (const pb::HostIP& host : request.extrahosts()) {
    RETURN_IF_ERROR(CheckIp(host.ip()));
    container.extra_hosts.push_back({host.host(), host.ip()});
  }
  worker::Worker& worker = *frontend.build()->services->worker;
  ASSIGN_OR_RETURN(auto made, worker.NewContainer(std::move(container)));
  return frontend.containers().Add(request.containerid(), std::move(made));
}

Status ReleaseContainer(ClientFrontend& frontend,
                        const gateway::ReleaseContainerRequest& request) {
  auto container = frontend.containers().Take(request.containerid());
  if (container == nullptr) {
    return UnknownError(StrCat("container details for ", request.containerid(), " not found"));
  }
  return container->Release();
}

// What a container does meanwhile to a file is the container's affair: it may grow, but no
// more is read than what fits into a message.
Status ReadFileContainer(ClientFrontend& frontend, const gateway::ReadFileRequest& request,
                         std::stop_token stop, gateway::ReadFileResponse* response,
                         ReplyShare* share) {
  ASSIGN_OR_RETURN(std::string root, MountOf(frontend, request.ref(), request.mountindex()));
  RETURN_IF_ERROR(CheckAbsolute(request.filepath()));
  ASSIGN_OR_RETURN(*share, frontend.replies().Take(kMaxMessageBytes, stop));
  ASSIGN_OR_RETURN(*response->mutable_data(), control::ReadFileIn(root, request.filepath(),
                                                                {.length = kMaxMessageBytes + 1}));
  (*share)->Keep(response->data().size());
  return OkStatus();
}

Status ReadDirContainer(ClientFrontend& frontend, const gateway::ReadDirRequest& request,
                        std::stop_token stop, gateway::ReadDirResponse* response,
                        ReplyShare* share) {
  ASSIGN_OR_RETURN(std::string root, MountOf(frontend, request.ref(), request.mountindex()));
  RETURN_IF_ERROR(CheckAbsolute(request.dirpath()));
  ASSIGN_OR_RETURN(*share, frontend.replies().Take(ClientFrontend::kReplyRoom, stop));
  ASSIGN_OR_RETURN(auto entries, control::ReadDirIn(root, request.dirpath(), ""));
  for (const frontend::FileStat& entry : entries) FillStat(entry, response->add_entries());
  (*share)->Keep(response->ByteSizeLong());
  return OkStatus();
}

Status StatFileContainer(ClientFrontend& frontend, const gateway::StatFileRequest& request,
                         gateway::StatFileResponse* response) {
  ASSIGN_OR_RETURN(std::string root, MountOf(frontend, request.ref(), request.mountindex()));
  RETURN_IF_ERROR(CheckAbsolute(request.path()));
  ASSIGN_OR_RETURN(frontend::FileStat stat, control::StatFileIn(root, request.path()));
  stat.path = BaseName(CleanPath(request.path()));
  FillStat(stat, response->mutable_stat());
  return OkStatus();
}

}  // namespace kiln::api
