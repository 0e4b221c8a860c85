#include "worker/exec/host_files.h"

#include <arpa/inet.h>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

constexpr std::string_view kHostPath = "/etc/resolv.conf";
constexpr std::string_view kSystemdPath = "/run/systemd/resolve/resolv.conf";

// An address in its canonical text, a zone kept; nullopt if it is none.
std::optional<std::string> ParseAddress(std::string_view text) {
  std::string_view address = text, zone;
  bool zoned = StrCut(text, "%", &address, &zone);
  in6_addr six = {};
  in_addr four = {};
  char out[INET6_ADDRSTRLEN];
  std::string plain(address);
  if (!zoned && ::inet_pton(AF_INET, plain.c_str(), &four) == 1) {
    return std::string(::inet_ntop(AF_INET, &four, out, sizeof out));
  }
  if ((zoned && zone.empty()) || ::inet_pton(AF_INET6, plain.c_str(), &six) != 1) {
    return std::nullopt;
  }
  std::string result = ::inet_ntop(AF_INET6, &six, out, sizeof out);
  return zoned ? StrCat(result, "%", zone) : result;
}

// Why a text is no address, in the words of Go's parser.
std::string AddressFault(std::string_view text) {
  size_t special = text.find_first_of(".:%");
  if (special == std::string_view::npos || text[special] != '.') return "unable to parse IP";
  size_t letter = text.find_first_not_of("0123456789.");
  if (letter == std::string_view::npos) return "unable to parse IP";
  return StrCat("unexpected character (at ", Quote(text.substr(letter)), ")");
}

bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

std::vector<std::string> Fields(std::string_view line) {
  std::vector<std::string> fields;
  size_t at = 0;
  while (at < line.size()) {
    size_t start = line.find_first_not_of(" \t\r\v\f", at);
    if (start == std::string_view::npos) break;
    size_t end = line.find_first_of(" \t\r\v\f", start);
    if (end == std::string_view::npos) end = line.size();
    fields.emplace_back(line.substr(start, end - start));
    at = end;
  }
  return fields;
}

struct ResolvConf {
  std::vector<std::string> nameservers;
  std::vector<std::string> search;
  std::vector<std::string> options;
  std::vector<std::string> other;
};

void ParseLine(std::string_view line, ResolvConf& conf) {
  if (line.empty() || line[0] == '#' || line[0] == ';') return;
  std::vector<std::string> fields = Fields(line);
  if (fields.empty()) return;
  const std::string& word = fields[0];
  if (word == "nameserver") {
    std::optional<std::string> address =
        fields.size() > 1 ? ParseAddress(fields[1]) : std::nullopt;
    if (address) conf.nameservers.push_back(*address);
  } else if (word == "search" || word == "domain") {
    if (fields.size() > 1) conf.search.assign(fields.begin() + 1, fields.end());
  } else if (word == "options") {
    conf.options.insert(conf.options.end(), fields.begin() + 1, fields.end());
  } else {
    conf.other.emplace_back(line);
  }
}

ResolvConf Parse(std::string_view text) {
  ResolvConf conf;
  for (std::string_view line : StrSplit(text, '\n')) {
    ParseLine(TrimSuffix(line, "\r"), conf);
  }
  return conf;
}

std::string Generate(const ResolvConf& conf) {
  std::string out;
  for (const std::string& server : conf.nameservers) out += StrCat("nameserver ", server, "\n");
  if (!conf.search.empty()) out += StrCat("search ", StrJoin(conf.search, " "), "\n");
  if (!conf.options.empty()) out += StrCat("options ", StrJoin(conf.options, " "), "\n");
  for (const std::string& line : conf.other) out += line + "\n";
  return out;
}

Status Override(const DnsOptions& dns, ResolvConf& conf) {
  if (!dns.nameservers.empty()) {
    conf.nameservers.clear();
    for (const std::string& text : dns.nameservers) {
      std::optional<std::string> address = ParseAddress(text);
      if (!address) {
        return InvalidArgumentError(StrCat("bad nameserver address: ParseAddr(", Quote(text),
                                           "): ", AddressFault(text)));
      }
      conf.nameservers.push_back(*address);
    }
  }
  if (!dns.search_domains.empty()) {
    conf.search = dns.search_domains;
    std::erase(conf.search, ".");
  }
  if (!dns.options.empty()) conf.options = dns.options;
  return OkStatus();
}

// The file to start from: systemd-resolved's own list where the host only names its stub.
std::string HostText(NetMode network) {
  std::string text = ReadFile(std::string(kHostPath)).value_or("");
  if (network != NetMode::kHost) {
    ResolvConf conf = Parse(text);
    if (conf.nameservers == std::vector<std::string>{"127.0.0.53"}) {
      return ReadFile(std::string(kSystemdPath)).value_or("");
    }
  }
  return text;
}

}  // namespace

std::string HostsText(std::string_view hostname, const std::vector<HostIp>& extra_hosts) {
  std::string out = StrCat("127.0.0.1\tlocalhost ",
                           hostname.empty() ? "buildkitsandbox" : hostname,
                           "\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  for (const HostIp& extra : extra_hosts) {
    out += StrCat(ParseAddress(extra.ip).value_or(extra.ip), "\t", extra.host, "\n");
  }
  return out;
}

StatusOr<std::string> ResolvConfText(std::string_view host_text,
                                     const std::optional<DnsOptions>& dns, bool host_network) {
  ResolvConf conf = Parse(host_text);
  bool overridden = dns && !dns->nameservers.empty();
  if (dns) {
    RETURN_IF_ERROR(Override(*dns, conf));
  }
  if (!overridden && (!host_network || conf.nameservers.empty())) {
    std::erase_if(conf.nameservers, [](const std::string& server) { return IsLoopback(server); });
    if (conf.nameservers.empty()) {
      log::Info("No non-localhost DNS nameservers are left in resolv.conf. "
                "Using default external servers");
      conf.nameservers = {"8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"};
    }
  }
  return Generate(conf);
}

StatusOr<std::string> ResolvConfFiles::Get(NetMode network) {
  const bool host = network == NetMode::kHost;
  const std::string path = JoinPath(root_, host ? "resolv-host.conf" : "resolv.conf");
  std::lock_guard lock(mutex_);
  std::string from = HostText(network);
  if (made_[host] && made_from_[host] == from) {
    return path;
  }
  ASSIGN_OR_RETURN(std::string text, ResolvConfText(from, dns_, host));
  RETURN_IF_ERROR(WriteFileAtomic(path, text, 0644));
  made_from_[host] = std::move(from);
  made_[host] = true;
  return path;
}

}  // namespace kiln::worker::exec
