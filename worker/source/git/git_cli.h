// GitCli: git(1) in a closed environment: no configuration of the host, no prompts.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::worker {

// Values; copy and change to get a variant. Run is thread-safe.
struct GitCli {
  std::string git_dir = {};
  std::string work_tree = {};
  std::vector<std::string> config = {};  // "-c …" pairs, may hold credentials
  std::string ssh_auth_sock = {};
  std::string known_hosts = {};          // path; empty: no host is checked
  std::function<void(int stream, std::string_view bytes)> log = {};
  std::stop_token stop = {};

  // Standard output. Servers that cannot serve shallow or single commits are asked again
  // without. UNKNOWN "git stderr:\n…: exit status N".
  StatusOr<std::string> Run(std::vector<std::string> args) const;
  // The same with white space cut off.
  StatusOr<std::string> RunLine(std::vector<std::string> args) const;
};

// 40 or 64 lower-case hex digits.
bool IsCommitSha(std::string_view text);
// The URL with its password (or lone user of http) replaced by "xxxxx".
std::string RedactCredentials(std::string_view url);

}  // namespace kiln::worker
