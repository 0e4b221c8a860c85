#include "worker/source/git/ssh_keyscan.h"

#include <cstdlib>
#include <vector>

#include "base/process.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

// Preference of Go's SSH client (golang.org/x/crypto/ssh, defaultHostKeyAlgos).
constexpr std::string_view kKinds[] = {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                       "ecdsa-sha2-nistp521", "ssh-rsa", "ssh-ed25519"};
constexpr const char* kSeconds = "10";

}  // namespace

std::string PreferredHostKey(std::string_view found) {
  const std::vector<std::string_view> lines = StrSplit(found, '\n');
  for (std::string_view kind : kKinds) {
    for (std::string_view line : lines) {
      const std::vector<std::string_view> fields = StrSplit(TrimSpace(line), ' ');
      if (fields.size() == 3 && !fields[0].starts_with('#') && fields[1] == kind) {
        return std::string(TrimSpace(line));
      }
    }
  }
  return "";
}

std::string ScanSshHost(const std::string& host) {
  std::string name = host, port = "22";
  size_t colon = host.rfind(':');
  if (colon != std::string::npos && host.find(']', colon) == std::string::npos) {
    name = host.substr(0, colon);
    port = host.substr(colon + 1);
  }
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  StatusOr<std::string> program = LookPath("ssh-keyscan");
  if (!program.ok() || name.empty() || name.starts_with('-')) return "";
  const char* path = std::getenv("PATH");
  ProcessOptions options;
  options.argv = {*program, "-T", kSeconds, "-p", port, "-t", "ecdsa,rsa,ed25519", name};
  options.env = {StrCat("PATH=", path == nullptr ? "" : path), "LC_ALL=C"};
  StatusOr<CommandOutput> output = RunCommand(std::move(options), "", {});
  return output.ok() ? PreferredHostKey(output->out) : std::string();
}

}  // namespace kiln::worker
