// SSH agent forwarding: connections of the build to the user's agent socket.
//
// Unless the socket is raw, only listing and signing pass: the build may use keys,
// not change them.
#include <grpcpp/server_context.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "api/client/attachments.h"
#include "api/client/connection.h"
#include "api/client/ssh_filter.h"
#include "api/proto/session/ssh.grpc.pb.h"
#include "api/tunnel/grpc_status.h"
#include "base/file.h"

namespace kiln::api {
namespace {

namespace ssh = ::moby::sshforward::v1;
using Stream = grpc::ServerReaderWriter<ssh::BytesMessage, ssh::BytesMessage>;

std::string AgentId(const std::string& id) { return id.empty() ? "default" : id; }

class SshService final : public ssh::SSH::Service {
 public:
  explicit SshService(std::map<std::string, SshAgentSource> agents) : agents_(std::move(agents)) {}

  grpc::Status CheckAgent(grpc::ServerContext*, const ssh::CheckAgentRequest* request,
                          ssh::CheckAgentResponse*) override {
    std::string id = AgentId(request->id());
    if (agents_.contains(id)) return grpc::Status::OK;
    return ToGrpc(UnknownError(StrCat("unset ssh forward key ", id)));
  }

  grpc::Status ForwardAgent(grpc::ServerContext* context, Stream* stream) override {
    std::string id = AgentId("");
    auto header = context->client_metadata().find("buildkit.ssh.id");
    if (header != context->client_metadata().end() && header->second.size() > 0) {
      id = std::string(header->second.data(), header->second.size());
    }
    auto agent = agents_.find(id);
    if (agent == agents_.end()) return ToGrpc(UnknownError(StrCat("unset ssh forward key ", id)));
    return ToGrpc(Forward(agent->second, *context, *stream));
  }

 private:
  static Status Forward(const SshAgentSource& agent, grpc::ServerContext& context, Stream& stream) {
    StatusOr<UniqueFd> socket = DialSocket("unix", agent.paths.front());
    if (!socket.ok()) {
      return Annotate(socket.status(), StrCat("failed to connect to ", agent.paths.front()));
    }
    int fd = socket->get();
    std::mutex write_mutex;
    auto answer = [&](std::string_view bytes) {
      ssh::BytesMessage message;
      message.set_data(bytes.data(), bytes.size());
      std::lock_guard lock(write_mutex);
      return stream.Write(message);
    };
    std::thread back([&] {
      char buffer[32 << 10];
      ssize_t n;
      while ((n = ::read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0 && !answer(std::string_view(buffer, static_cast<size_t>(n)))) break;
      }
      context.TryCancel();
    });
    SshFilter filter;
    ssh::BytesMessage message;
    Status status;
    while (status.ok() && stream.Read(&message)) {
      std::string pass = message.data();
      if (!agent.raw) {
        std::string refused;
        status = filter.Pass(message.data(), &pass, &refused);
        if (!refused.empty() && !answer(refused)) break;
      }
      if (status.ok() && !WriteAll(fd, pass).ok()) break;
    }
    ::shutdown(fd, SHUT_RDWR);
    back.join();
    return status;
  }

  std::map<std::string, SshAgentSource> agents_;
};

Status CheckPaths(SshAgentSource& agent) {
  std::string fallback;
  if (agent.paths.empty() || (agent.paths.size() == 1 && agent.paths[0].empty())) {
    const char* env = std::getenv("SSH_AUTH_SOCK");
    if (env == nullptr || *env == '\0') {
      return UnknownError(
          "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    }
    agent.paths = {env};
  }
  std::string wrap = StrCat("failed to convert agent config for ID: ", Quote(agent.id));
  for (const std::string& path : agent.paths) {
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0) {
      return ErrnoStatus(errno, StrCat(wrap, ": stat ", path));
    }
    if (S_ISSOCK(st.st_mode)) {
      if (agent.paths.size() > 1) return UnknownError(wrap + ": only single socket allowed");
      continue;
    }
    if (agent.raw) return UnknownError(wrap + ": raw mode only supported with socket paths");
    StatusOr<std::string> key = ReadFile(path);
    if (!key.ok()) return Annotate(key.status(), StrCat(wrap, ": failed to open ", path));
    if (!Contains(*key, "-----BEGIN ")) {
      return UnknownError(StrCat(wrap, ": failed to parse ", path, ": ssh: no key found"));
    }
    return UnimplementedError(StrCat(wrap, ": ", path, ": key files need a running ssh-agent"));
  }
  return OkStatus();
}

}  // namespace

StatusOr<Attachment> ServeSsh(std::vector<SshAgentSource> sources) {
  std::map<std::string, SshAgentSource> agents;
  for (SshAgentSource& source : sources) {
    std::string shown = StrCat("{", source.id.empty() ? "default" : source.id, " [",
                               StrJoin(source.paths, " "), "] ", source.raw ? "true" : "false", "}");
    source.id = AgentId(source.id);
    if (agents.contains(source.id)) {
      return UnknownError(StrCat("duplicate agent ID ", Quote(source.id)));
    }
    RETURN_IF_ERROR(Annotate(CheckPaths(source), StrCat("failed to convert agent config ", shown)));
    agents[source.id] = source;
  }
  return Attachment{std::make_shared<SshService>(std::move(agents)),
                    {"/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"}};
}

}  // namespace kiln::api
