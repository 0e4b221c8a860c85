#include "worker/source/git/git_cli.h"

#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "base/process.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

constexpr size_t kMaxOutput = 64 << 20;

std::vector<std::string> Environment(const GitCli& git) {
  const char* path = std::getenv("PATH");
  std::string ssh = "ssh -F /dev/null ";
  ssh += git.known_hosts.empty() ? "-o StrictHostKeyChecking=no"
                                 : StrCat("-o UserKnownHostsFile=", git.known_hosts);
  std::vector<std::string> env = {StrCat("PATH=", path == nullptr ? "" : path),
                                  "GIT_TERMINAL_PROMPT=0",
                                  StrCat("GIT_SSH_COMMAND=", ssh),
                                  "LC_ALL=C",
                                  "GIT_CONFIG_NOSYSTEM=1",
                                  "HOME=/dev/null",
                                  "GIT_CONFIG_GLOBAL=/dev/null"};
  for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy",
                           "https_proxy", "no_proxy", "all_proxy"}) {
    if (const char* value = std::getenv(name)) env.push_back(StrCat(name, "=", value));
  }
  if (!git.ssh_auth_sock.empty()) env.push_back(StrCat("SSH_AUTH_SOCK=", git.ssh_auth_sock));
  return env;
}

// Checked-out files get their modes from the mask, which is 0 in the daemon. It belongs to
// the process, so a thread of its own gives up sharing it.
StatusOr<CommandOutput> RunWithUsualMask(ProcessOptions options, const std::stop_token& stop) {
  StatusOr<CommandOutput> output = InternalError("git did not run");
  std::thread([&] {
    if (::unshare(CLONE_FS) != 0) {
      output = ErrnoStatus(errno, "unshare");
      return;
    }
    ::umask(022);
    output = RunCommand(std::move(options), {}, stop, kMaxOutput);
  }).join();
  return output;
}

// Arguments for a second try; false if there is nothing to leave out.
bool Simplify(std::string_view errors, std::vector<std::string>* args) {
  if (Contains(errors, "--depth") || Contains(errors, "shallow")) {
    if (std::erase(*args, "--depth=1") > 0) return true;
  }
  if (Contains(errors, "not our ref") || Contains(errors, "unadvertised object")) {
    if (args->size() > 2 && args->front() == "fetch" && IsCommitSha(args->back())) {
      args->pop_back();
      return true;
    }
  }
  return false;
}

}  // namespace

StatusOr<std::string> GitCli::Run(std::vector<std::string> args) const {
  for (;;) {
    ProcessOptions options;
    // A repository must not name a folder of this machine as its submodule.
    options.argv = {"git", "-c", "protocol.file.allow=user"};
    if (!work_tree.empty()) options.argv.insert(options.argv.end(), {"--work-tree", work_tree});
    if (!git_dir.empty()) options.argv.insert(options.argv.end(), {"--git-dir", git_dir});
    options.argv.insert(options.argv.end(), config.begin(), config.end());
    options.argv.insert(options.argv.end(), args.begin(), args.end());
    options.env = Environment(*this);
    options.cwd = work_tree;
    ASSIGN_OR_RETURN(CommandOutput output, RunWithUsualMask(std::move(options), stop));
    if (log) {
      if (!output.out.empty()) log(1, output.out);
      if (!output.err.empty()) log(2, output.err);
    }
    if (output.exit_code == 0) return std::move(output.out);
    if (!Simplify(output.err, &args)) {
      return UnknownError(
          StrCat("git stderr:\n", output.err, ": exit status ", output.exit_code));
    }
  }
}

StatusOr<std::string> GitCli::RunLine(std::vector<std::string> args) const {
  ASSIGN_OR_RETURN(std::string out, Run(std::move(args)));
  return std::string(TrimSpace(out));
}

bool IsCommitSha(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string RedactCredentials(std::string_view url) {
  size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  size_t start = scheme + 3;
  size_t end = url.find('/', start);
  std::string_view authority = url.substr(start, end == std::string_view::npos ? end : end - start);
  size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  std::string_view user = authority.substr(0, at);
  size_t colon = user.find(':');
  if (colon == std::string_view::npos) return std::string(url);
  return StrCat(url.substr(0, start), user.substr(0, colon), ":xxxxx", authority.substr(at),
                end == std::string_view::npos ? "" : url.substr(end));
}

}  // namespace kiln::worker
