// EXPOSE: port specifications "[ip:][host:]container[/proto]" with ranges.
#include <arpa/inet.h>

#include "base/strings.h"
#include "frontend/dockerfile/convert/dispatch.h"
#include "frontend/dockerfile/convert/go_format.h"
#include "frontend/dockerfile/convert/state_env.h"

namespace kiln::dockerfile {
namespace {

struct PortParts {
  std::string ip, host, container;
};

PortParts SplitPort(std::string_view text) {
  const auto parts = StrSplit(text, ':');
  const size_t count = parts.size();
  PortParts result;
  result.container = parts[count - 1];
  if (count > 1) result.host = parts[count - 2];
  if (count > 2) {
    result.ip = StrJoin(std::vector<std::string_view>(parts.begin(), parts.end() - 2), ":");
  }
  return result;
}

bool ParsePortNumber(std::string_view text, int64_t* port) {
  return ParseInt64(TrimPrefix(text, "+"), port) && *port >= 0 && *port <= 65535;
}

bool ParsePortRange(std::string_view text, int64_t* first, int64_t* last) {
  std::string_view low, high;
  const bool range = StrCut(text, "-", &low, &high);
  if (!ParsePortNumber(low, first)) return false;
  *last = *first;
  if (!range || low == high) return true;
  return ParsePortNumber(high, last) && *last >= *first;
}

bool IsIp(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

Status CheckIp(std::string ip) {
  if (ip.starts_with("[")) {
    if (!ip.ends_with("]")) {
      return UnknownError(StrCat("invalid IP address ", ip, ": address ", ip,
                                 ":: missing ']' in address"));
    }
    ip = ip.substr(1, ip.size() - 2);
  }
  if (!ip.empty() && !IsIp(ip)) return UnknownError("invalid IP address: " + ip);
  return OkStatus();
}

StatusOr<std::vector<std::string>> ParsePort(const std::string& text,
                                             const std::vector<Range>& location, Linter* lint) {
  const PortParts parts = SplitPort(text);
  std::string_view container, proto;
  StrCut(parts.container, "/", &container, &proto);
  const std::string invalid = StrCat("invalid port: ", Quote(text), ": ");
  if (container.empty()) return UnknownError(invalid + "no port specified");
  const std::string lower = proto.empty() ? "tcp" : ToLower(proto);
  if (lower != "tcp" && lower != "udp" && lower != "sctp") {
    return UnknownError(StrCat(invalid, "invalid proto: ", proto));
  }
  if (!proto.empty() && proto != lower) {
    lint->Run(lint::kExposeProtoCasing, location,
              StrCat("Defined protocol '", text, "' in EXPOSE instruction should be lowercase"));
  }
  if (!parts.ip.empty() || !parts.host.empty()) {
    lint->Run(lint::kExposeInvalidFormat, location,
              StrCat("EXPOSE instruction should not define an IP address or host-port mapping, "
                     "found '",
                     text, "'"));
  }
  RETURN_IF_ERROR(CheckIp(parts.ip));
  int64_t first = 0, last = 0, host_first = 0, host_last = 0;
  if (!ParsePortRange(container, &first, &last)) {
    return UnknownError(StrCat("invalid containerPort: ", container));
  }
  if (!parts.host.empty()) {
    if (!ParsePortRange(parts.host, &host_first, &host_last)) {
      return UnknownError("invalid hostPort: " + parts.host);
    }
    if (last != first && last - first != host_last - host_first) {
      return UnknownError(StrCat("invalid ranges specified for container and host Ports: ",
                                 container, " and ", parts.host));
    }
  }
  std::vector<std::string> ports;
  for (int64_t port = first; port <= last; ++port) ports.push_back(StrCat(port, "/", lower));
  return ports;
}

}  // namespace

Status Dispatcher::Run(const ExposeCommand& c, const StageCommand&) {
  std::vector<std::string> exposed;
  const StateEnv env(stage_.state.meta().env);
  std::vector<std::string> words;
  for (const std::string& port : c.ports) {
    ASSIGN_OR_RETURN(const WordResult result, context_.lex.Process(port, env));
    words.insert(words.end(), result.words.begin(), result.words.end());
  }
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const std::vector<std::string> ports, ParsePort(word, c.location, &lint_));
    exposed.insert(exposed.end(), ports.begin(), ports.end());
  }
  stage_.image.config.exposed_ports.insert(exposed.begin(), exposed.end());
  Commit("EXPOSE " + GoList(exposed), false);
  return OkStatus();
}

}  // namespace kiln::dockerfile
