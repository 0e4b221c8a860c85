// See dial_command.h.
#include "api/client/dial_command.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/process.h"

namespace kiln::api {
namespace {

std::string QueryValue(const UrlQuery& query, const std::string& key) {
  auto found = query.find(key);
  return found == query.end() || found->second.empty() ? "" : found->second.front();
}

bool IsKubeName(std::string_view text) {
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") ==
         std::string_view::npos;
}

StatusOr<std::vector<std::string>> ContainerCommand(const Url& url, const std::string& program) {
  if (url.HostName().empty()) return UnknownError("url lacks container name");
  std::vector<std::string> argv = {program};
  UrlQuery query = ParseUrlQuery(url.raw_query);
  std::string flag = program == "nerdctl" ? "namespace" : "context";
  std::string value = QueryValue(query, flag);
  if (!value.empty() && program != "podman") argv.push_back(StrCat("--", flag, "=", value));
  for (const char* word : {"exec", "-i"}) argv.emplace_back(word);
  argv.push_back(url.HostName());
  for (const char* word : {"buildctl", "dial-stdio"}) argv.emplace_back(word);
  return argv;
}

StatusOr<std::vector<std::string>> KubeCommand(const Url& url) {
  UrlQuery query = ParseUrlQuery(url.raw_query);
  std::string space = QueryValue(query, "namespace");
  std::string container = QueryValue(query, "container");
  std::string pod = url.HostName();
  if (!IsKubeName(space)) return UnknownError("unsupported namespace name: " + Quote(space));
  if (pod.empty()) return UnknownError("url lacks pod name");
  if (!IsKubeName(pod)) return UnknownError("unsupported pod name: " + Quote(pod));
  if (!IsKubeName(container)) return UnknownError("unsupported container name: " + Quote(container));
  return std::vector<std::string>{"kubectl",
                                  "--context=" + QueryValue(query, "context"),
                                  "--namespace=" + space,
                                  "exec",
                                  "--container=" + container,
                                  "-i",
                                  pod,
                                  "--",
                                  "buildctl",
                                  "dial-stdio"};
}

StatusOr<std::vector<std::string>> SshCommand(const Url& url) {
  if (url.password.has_value()) return UnknownError("plain-text password is not supported");
  if (url.HostName().empty()) return UnknownError("no host specified");
  if (!url.raw_query.empty()) {
    return UnknownError("extra query after the host: " + Quote(url.raw_query));
  }
  if (!url.fragment.empty()) {
    return UnknownError("extra fragment after the host: " + Quote(url.fragment));
  }
  std::vector<std::string> argv = {"ssh"};
  if (url.user.has_value() && !url.user->empty()) {
    argv.insert(argv.end(), {"-l", *url.user});
  }
  if (!url.Port().empty()) argv.insert(argv.end(), {"-p", url.Port()});
  argv.insert(argv.end(), {"--", url.HostName(), "buildctl"});
  if (!url.path.empty()) argv.insert(argv.end(), {"--addr", "unix://" + url.path});
  argv.emplace_back("dial-stdio");
  return argv;
}

}  // namespace

StatusOr<std::optional<std::vector<std::string>>> DialCommand(const Url& url) {
  std::vector<std::string> argv;
  if (url.scheme == "docker-container") {
    ASSIGN_OR_RETURN(argv, ContainerCommand(url, "docker"));
  } else if (url.scheme == "podman-container") {
    ASSIGN_OR_RETURN(argv, ContainerCommand(url, "podman"));
  } else if (url.scheme == "nerdctl-container") {
    ASSIGN_OR_RETURN(argv, ContainerCommand(url, "nerdctl"));
  } else if (url.scheme == "kube-pod") {
    ASSIGN_OR_RETURN(argv, KubeCommand(url));
  } else if (url.scheme == "ssh") {
    ASSIGN_OR_RETURN(argv, SshCommand(url));
  } else {
    return std::optional<std::vector<std::string>>();
  }
  return std::optional(std::move(argv));
}

StatusOr<UniqueFd> StartDialCommand(const std::vector<std::string>& argv) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  ProcessOptions options;
  options.argv = argv;
  StatusOr<std::string> program = LookPath(argv[0]);
  if (!program.ok()) return program.status();
  options.argv[0] = *program;
  options.env = OwnEnvironment();
  options.stdin_fd = theirs.get();
  options.stdout_fd = theirs.get();
  options.stderr_fd = STDERR_FILENO;
  options.new_session = true;  // Ctrl-C is for us: the connection outlives it
  ASSIGN_OR_RETURN(Process process, Process::Start(options));
  // Reaped when it ends by itself, which closing `ours` makes it do.
  std::thread([child = std::move(process)]() mutable { child.Wait().IgnoreError(); }).detach();
  return ours;
}

}  // namespace kiln::api
