// SSH agent forwarding: connections of the build to the user's agent socket, or to keys
// of files that are offered as an agent would.
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
#include "api/client/ssh_keyring.h"
#include "api/proto/session/ssh.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "base/file.h"

namespace kiln::api {
namespace {

namespace ssh = ::moby::sshforward::v1;
using Stream = grpc::ServerReaderWriter<ssh::BytesMessage, ssh::BytesMessage>;

constexpr size_t kMostKeyBytes = 100 << 10;

// One id: a socket, or keys.
struct Agent {
  std::string socket;
  bool raw = false;
  SshKeyring keys;
};

std::string AgentId(const std::string& id) { return id.empty() ? "default" : id; }

class SshService final : public ssh::SSH::Service {
 public:
  explicit SshService(std::map<std::string, Agent> agents) : agents_(std::move(agents)) {}

  grpc::Status CheckAgent(grpc::ServerContext*, const ssh::CheckAgentRequest* request,
                          ssh::CheckAgentResponse*) override {
    std::string id = AgentId(request->id());
    if (agents_.contains(id)) return grpc::Status::OK;
    return ToGrpcWithStack(UnknownError(StrCat("unset ssh forward key ", id)));
  }

  grpc::Status ForwardAgent(grpc::ServerContext* context, Stream* stream) override {
    std::string id = AgentId("");
    auto header = context->client_metadata().find("buildkit.ssh.id");
    if (header != context->client_metadata().end() && header->second.size() > 0) {
      id = std::string(header->second.data(), header->second.size());
    }
    auto agent = agents_.find(id);
    if (agent == agents_.end()) {
      return ToGrpcWithStack(UnknownError(StrCat("unset ssh forward key ", id)));
    }
    return ToGrpcWithStack(Forward(agent->second, *context, *stream));
  }

 private:
  static Status AnswerWithKeys(const SshKeyring& keys, Stream& stream) {
    SshAgentConversation conversation(keys);
    ssh::BytesMessage message;
    while (stream.Read(&message)) {
      std::string answers;
      RETURN_IF_ERROR(conversation.Feed(message.data(), &answers));
      message.set_data(answers);
      if (!answers.empty() && !stream.Write(message)) break;
    }
    return OkStatus();
  }

  static Status Forward(const Agent& agent, grpc::ServerContext& context, Stream& stream) {
    if (agent.socket.empty()) return AnswerWithKeys(agent.keys, stream);
    StatusOr<UniqueFd> socket = DialSocket("unix", agent.socket);
    if (!socket.ok()) {
      return Annotate(socket.status(), StrCat("failed to connect to ", agent.socket));
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

  std::map<std::string, Agent> agents_;
};

Status AddKey(const std::string& path, SshKeyring* keys) {
  StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return Annotate(text.status(), StrCat("failed to open ", path));
  if (text->size() > kMostKeyBytes) text->resize(kMostKeyBytes);
  return Annotate(keys->Add(*text), StrCat("failed to parse ", path));
}

StatusOr<Agent> OpenAgent(SshAgentSource source) {
  Agent agent{.socket = {}, .raw = source.raw, .keys = {}};
  if (source.paths.empty() || (source.paths.size() == 1 && source.paths[0].empty())) {
    const char* env = std::getenv("SSH_AUTH_SOCK");
    if (env == nullptr || *env == '\0') {
      return UnknownError(
          "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    }
    source.paths = {env};
  }
  std::string wrap = StrCat("failed to convert agent config for ID: ", Quote(source.id));
  bool keys = false;
  for (const std::string& path : source.paths) {
    if (!agent.socket.empty()) return UnknownError(wrap + ": only single socket allowed");
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0) {
      return ErrnoStatus(errno, StrCat(wrap, ": stat ", path));
    }
    if (S_ISSOCK(st.st_mode)) {
      agent.socket = path;
      continue;
    }
    if (source.raw) return UnknownError(wrap + ": raw mode only supported with socket paths");
    RETURN_IF_ERROR(Annotate(AddKey(path, &agent.keys), wrap));
    keys = true;
  }
  if (keys && !agent.socket.empty()) {
    return UnknownError(wrap + ": invalid combination of keys and sockets");
  }
  return agent;
}

}  // namespace

StatusOr<Attachment> ServeSsh(std::vector<SshAgentSource> sources) {
  std::map<std::string, Agent> agents;
  for (SshAgentSource& source : sources) {
    std::string shown = StrCat("{", source.id.empty() ? "default" : source.id, " [",
                               StrJoin(source.paths, " "), "] ", source.raw ? "true" : "false", "}");
    source.id = AgentId(source.id);
    if (agents.contains(source.id)) {
      return UnknownError(StrCat("duplicate agent ID ", Quote(source.id)));
    }
    StatusOr<Agent> agent = OpenAgent(source);
    if (!agent.ok()) {
      return Annotate(agent.status(), StrCat("failed to convert agent config ", shown));
    }
    agents.insert_or_assign(source.id, *std::move(agent));
  }
  return Attachment{std::make_shared<SshService>(std::move(agents)),
                    {"/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"}};
}

}  // namespace kiln::api
