// buildctl: the tree of commands and the global flags.
#include <cstdlib>

#include "api/tunnel/error_stack.h"
#include "base/heap.h"
#include "base/log.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/common.h"
#include "cmd/buildctl/version.h"

namespace kiln::buildctl {
namespace {

std::string DefaultAddress() {
  const char* host = std::getenv("BUILDKIT_HOST");
  return host != nullptr && *host != '\0' ? host : "unix:///run/buildkit/buildkitd.sock";
}

std::vector<Flag> GlobalFlags() {
  return {
      {"debug", Kind::kBool, "enable debug output in logs"},
      {"addr", Kind::kText, "buildkitd address", DefaultAddress()},
      {"log-format", Kind::kText, "log formatter: json or text", "text"},
      {"tlsservername", Kind::kText, "name that the daemon's certificate must have"},
      {"tlscacert", Kind::kText, "CA certificate for validation"},
      {"tlscert", Kind::kText, "client certificate"},
      {"tlskey", Kind::kText, "client key"},
      {"tlsdir", Kind::kText,
       "folder of CA certificate, client certificate and key, named (ca.pem, cert.pem, key.pem) or "
       "(ca.crt, tls.crt, tls.key)"},
      {"timeout", Kind::kInt, "seconds after which connecting is given up", "5"},
      {"wait", Kind::kBool, "wait until the daemon can be reached"},
  };
}

// What is set up before any command runs.
Status Before(const Invocation& call) {
  std::string format = call.Text("log-format");
  if (format == "json") {
    log::SetFormat(log::Format::kJson);
  } else if (format != "text" && !format.empty()) {
    return UnknownError(StrCat("unsupported log type ", Quote(format)));
  }
  if (call.Bool("debug")) log::SetLevel(log::Level::kDebug);
  return OkStatus();
}

Command Root() {
  Command debug{.name = "debug", .usage = "debug utilities"};
  debug.commands = {DumpLlbCommand(), DumpMetadataCommand(), WorkersCommand(), InfoCommand(),
                    MonitorCommand(), LogsCommand(), CtlCommand(), GetCommand(),
                    HistoriesCommand(), ExplainCommand()};
  Command root{.name = "buildctl", .usage = "build utility"};
  root.flags = GlobalFlags();
  root.commands = {DiskUsageCommand(), PruneCommand(), PruneHistoriesCommand(), BuildCommand(),
                   std::move(debug), DialStdioCommand()};
  root.run = Before;
  return root;
}

}  // namespace
}  // namespace kiln::buildctl

int main(int argc, char** argv) {
  kiln::KeepFreedMemory();
  kiln::api::SetStackVersion(kiln::buildctl::Version(), kiln::buildctl::VersionRevision());
  return kiln::buildctl::RunCommandLine(kiln::buildctl::Root(), argc, argv,
                                        kiln::buildctl::PrintFailure);
}
