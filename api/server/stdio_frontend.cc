// One socket pair, one gRPC server and one container for each run.
#include "api/server/stdio_frontend.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "api/server/services.h"
#include "api/tunnel/session_headers.h"
#include "api/tunnel/unknown_methods.h"
#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "control/bridge.h"
#include "control/client_frontend.h"
#include "control/reference.h"
#include "llb/proto/ops.pb.h"
#include "oci/image_config.h"
#include "worker/worker.h"

namespace kiln::api {
namespace {

using control::ClientFrontend;
using frontend::gateway::FrontendProcess;

// Calls of one frontend at a time, each a thread; further ones wait in the frontend.
constexpr int kMaxCalls = 512;
constexpr char kMetadataDir[] = "/run/config/buildkit/metadata";

// The LLBBridge over one socket, for one frontend.
class StdioServer {
 public:
  StdioServer(const ServerParts& parts, std::shared_ptr<ClientFrontend> frontend)
      : bridge_(MakeBridgeServiceFor(std::move(frontend), parts, threads_)),
        health_(MakeHealthService()) {
    unknown_.Know({"moby.buildkit.v1.frontend.LLBBridge", "grpc.health.v1.Health"});
  }
  ~StdioServer() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    eventfd_write(wake_.get(), 1);
    if (watcher_.joinable()) watcher_.join();
    if (server_ != nullptr) server_->Wait();
  }

  // `closed` runs once if the peer ends the connection, or breaks its rules.
  Status Start(UniqueFd socket, std::function<void()> closed) {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.SetMaxSendMessageSize(kMaxMessageBytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMessageBytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCalls);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
    builder.RegisterService(bridge_.get());
    builder.RegisterService(health_.get());
    builder.RegisterCallbackGenericService(&unknown_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return InternalError("could not start the frontend's gRPC server");
    watched_ = UniqueFd(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
    watcher_ = std::thread([this, closed = std::move(closed)] { Watch(closed); });
    grpc::AddInsecureChannelFromFd(server_.get(), socket.Release());
    return OkStatus();
  }

 private:
  void Watch(const std::function<void()>& closed) {
    pollfd wait[2] = {{watched_.get(), POLLRDHUP, 0}, {wake_.get(), POLLIN, 0}};
    while (::poll(wait, 2, -1) < 0 && errno == EINTR) {
    }
    if (wait[1].revents == 0) closed();
  }

  CallThreads threads_;
  UnknownMethods unknown_;
  std::unique_ptr<grpc::Service> bridge_, health_;
  std::unique_ptr<grpc::Server> server_;
  UniqueFd watched_;
  UniqueFd wake_{eventfd(0, EFD_CLOEXEC)};
  std::thread watcher_;
};

StatusOr<std::pair<UniqueFd, UniqueFd>> SocketPair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  std::pair<UniqueFd, UniqueFd> pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
  return pair;
}

// client.WorkerInfo in Go's JSON.
std::string WorkersJson(const ServerParts& parts) {
  std::string labels, platforms;
  for (const auto& [key, value] : parts.worker.labels) {
    labels += StrCat(labels.empty() ? "" : ",", GoJsonString(key), ":", GoJsonString(value));
  }
  for (const Platform& platform : parts.worker.platforms) {
    platforms += StrCat(platforms.empty() ? "" : ",", oci::PlatformJson(platform));
  }
  return StrCat(R"([{"id":)", GoJsonString(parts.worker.id), R"(,"labels":{)", labels,
                R"(},"platforms":[)", platforms,
                R"(],"gcPolicy":null,"buildkitVersion":{"package":)",
                GoJsonString(parts.version.package), R"(,"version":)",
                GoJsonString(parts.version.version), R"(,"revision":)",
                GoJsonString(parts.version.revision), R"(},"cdiDevices":null}])");
}

// The frontend's own definition as a file, and the mount that shows it.
StatusOr<worker::exec::ContainerMount> MetadataMount(const pb::Definition& definition,
                                                     const std::string& temp_dir) {
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir, "metadata-"));
  auto dir = std::make_shared<TempDir>(path);
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(JoinPath(path, "frontend.bin"),
                                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  RETURN_IF_ERROR(WriteAll(file.get(), definition.SerializeAsString()));
  cache::Mount bind{"bind", path, {"bind", "ro", "nosuid", "nodev", "noexec"}};
  return worker::exec::ContainerMount{
      .source = [dir, bind]() -> StatusOr<cache::MountLease> {
        return cache::MountLease{{bind}, dir};
      },
      .selector = {},
      .dest = kMetadataDir,
      .readonly = true};
}

// A writable copy of the image for this run only.
StatusOr<worker::exec::ContainerMount> RootMount(const frontend::ReferencePtr& root,
                                                 cache::RefStore& refs) {
  ASSIGN_OR_RETURN(cache::Ref image, control::RefOf(root));
  ASSIGN_OR_RETURN(cache::MutableRef made, refs.NewMutable(image, {}));
  auto active = std::make_shared<cache::MutableRef>(std::move(made));
  return worker::exec::ContainerMount{
      .source = [active]() -> StatusOr<cache::MountLease> {
        ASSIGN_OR_RETURN(cache::MountLease lease, active->Mount(/*readonly=*/false));
        // The record lives as long as its mount.
        lease.lease = std::make_shared<std::pair<std::shared_ptr<void>,
                                                 std::shared_ptr<cache::MutableRef>>>(
            std::move(lease.lease), active);
        return lease;
      },
      .selector = {},
      .dest = "/",
      .readonly = false};
}

worker::exec::ProcessMeta MetaOf(const FrontendProcess& process, const ServerParts& parts) {
  worker::exec::ProcessMeta meta;
  meta.args = process.args;
  meta.env = process.env;
  meta.env.push_back(StrCat("BUILDKIT_WORKERS=", WorkersJson(parts)));
  meta.env.push_back("BUILDKIT_EXPORTEDPRODUCT=buildkit");
  meta.cwd = process.cwd;
  meta.remove_stubs_recursive = true;
  if (process.no_network) meta.network = worker::exec::NetMode::kNone;
  return meta;
}

}  // namespace

StatusOr<frontend::Result> StdioFrontends::Run(frontend::Bridge& bridge,
                                               const FrontendProcess& process,
                                               std::stop_token stop) {
  cache::RefStore& refs = *parts_.refs;
  auto& build_bridge = static_cast<control::BuildBridge&>(bridge);
  auto frontend = std::make_shared<ClientFrontend>(bridge, build_bridge.build());
  ASSIGN_OR_RETURN(auto root, RootMount(process.root, refs));
  ASSIGN_OR_RETURN(auto metadata, MetadataMount(*process.definition, refs.temp_dir()));
  ASSIGN_OR_RETURN(auto ends, SocketPair());
  std::stop_source end;
  std::atomic<bool> closed = false;
  std::stop_callback cancel(stop, [&] { end.request_stop(); });
  Status status;
  bool broken = false;
  {
    StdioServer server(parts_, frontend);
    RETURN_IF_ERROR(server.Start(std::move(ends.first), [&] {
      closed = true;
      end.request_stop();
    }));
    worker::exec::Attachment stdio{ends.second.get(), ends.second.get(), STDERR_FILENO, nullptr};
    worker::exec::ProcessMeta meta = MetaOf(process, parts_);
    ASSIGN_OR_RETURN(meta.proxy, build_bridge.ProxyFor(static_cast<int>(meta.network)));
    status = worker_.executor().RunAttached(NewId(), root, {metadata}, meta, stdio,
                                            end.get_token());
    broken = closed;  // later it is the server here that closes
    // Calls that are still open end before the containers that they may wait for.
    frontend->containers().ReleaseAll();
    // What nobody reads any more must not fill the socket: the server ends its calls first.
    ends.second.Reset();
  }
  if (broken && !stop.stop_requested() && !status.ok()) {
    status = UnknownError("frontend grpc server closed unexpectedly");
  }
  return frontend->Outcome(status);
}

}  // namespace kiln::api
