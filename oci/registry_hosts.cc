// Hosts of registries, by configuration. See registry_hosts.h.
#include "oci/registry_hosts.h"

#include "base/strings.h"

namespace kiln::oci {
namespace {

Endpoint MakeEndpoint(const RegistryHosts& hosts, const std::string& host,
                      const std::string& address, const std::string& path, bool insecure) {
  auto found = hosts.find(host);
  RegistryHost config = found == hosts.end() ? RegistryHost{} : found->second;
  if (insecure) config.http = config.insecure = true;
  bool http = config.http.value_or(IsLoopbackHost(host));
  bool skip_verify = config.insecure.value_or(false);
  Endpoint endpoint;
  endpoint.host = host;
  endpoint.tls.ca_files = config.ca;
  endpoint.tls.key_pairs = config.key_pairs;
  endpoint.tls.skip_verify = skip_verify;
  std::string rest = StrCat(address, "/v2", path);
  endpoint.base = StrCat(http && !skip_verify ? "http://" : "https://", rest);
  if (http && skip_verify) endpoint.fallback_base = StrCat("http://", rest);
  return endpoint;
}

}  // namespace

bool IsLoopbackHost(std::string_view host) {
  std::string_view name = host;
  if (name.starts_with('[')) {
    name = name.substr(1, name.find(']') - 1);
  } else {
    name = name.substr(0, name.find(':'));
  }
  return name == "localhost" || name.starts_with("127.") || name == "::1" || host == "::1";
}

std::vector<Endpoint> EndpointsFor(const RegistryHosts& hosts, const std::string& domain,
                                   bool insecure, bool push) {
  std::vector<Endpoint> endpoints;
  auto found = hosts.find(domain);
  if (found != hosts.end() && !push && !insecure) {
    for (const std::string& mirror : found->second.mirrors) {
      size_t slash = mirror.find('/');
      std::string host = mirror.substr(0, slash);
      std::string path = slash == std::string::npos ? "" : mirror.substr(slash);
      path = std::string(TrimSuffix(path, "/"));
      Endpoint endpoint = MakeEndpoint(hosts, host, host, path, false);
      endpoint.mirror = true;
      endpoints.push_back(std::move(endpoint));
    }
  }
  std::string address = domain == "docker.io" ? "registry-1.docker.io" : domain;
  endpoints.push_back(MakeEndpoint(hosts, domain, address, "", insecure));
  return endpoints;
}

}  // namespace kiln::oci
