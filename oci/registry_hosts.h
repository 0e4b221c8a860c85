// Which hosts serve a registry, and how they are spoken to. For registry.cc only.
#pragma once

#include <string>
#include <vector>

#include "oci/registry.h"

namespace kiln::oci {

struct Endpoint {
  std::string host;           // as users and credentials name it
  std::string base;           // "https://host/v2": what a path is appended to
  std::string fallback_base;  // tried after a failed handshake, "" if there is none
  TlsOptions tls;
  bool mirror = false;
};

// In the order of asking; mirrors first, unless the call pushes.
std::vector<Endpoint> EndpointsFor(const RegistryHosts& hosts, const std::string& domain,
                                   bool insecure, bool push);
bool IsLoopbackHost(std::string_view host);

}  // namespace kiln::oci
