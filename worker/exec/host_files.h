// /etc/hosts and /etc/resolv.conf as a step sees them.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "worker/exec/executor.h"

namespace kiln::worker::exec {

std::string HostsText(std::string_view hostname, const std::vector<HostIp>& extra_hosts);

// resolv.conf made from the host's text. `host_network`: loopback servers stay.
StatusOr<std::string> ResolvConfText(std::string_view host_text,
                                     const std::optional<DnsOptions>& dns, bool host_network);

// The shared resolv.conf files under one folder; made again when the host's changes. Thread-safe.
class ResolvConfFiles {
 public:
  ResolvConfFiles(std::string root, std::optional<DnsOptions> dns)
      : root_(std::move(root)), dns_(std::move(dns)) {}
  // Path of the file for a step.
  StatusOr<std::string> Get(NetMode network);

 private:
  std::string root_;
  std::optional<DnsOptions> dns_;
  std::mutex mutex_;
  std::string made_from_[2];  // the host's text that each file was made from
  bool made_[2] = {false, false};
};

}  // namespace kiln::worker::exec
