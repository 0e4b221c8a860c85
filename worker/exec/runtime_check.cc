#include "worker/exec/runtime_check.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/process.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::json;

constexpr std::string_view kProgram = "/kiln-check";

json Spec(const std::string& id, const RuntimeQuestion& question) {
  json spec = {
      {"ociVersion", question.spec_version},
      {"process", {{"args", {kProgram}}, {"cwd", "/"}, {"user", {{"uid", 0}, {"gid", 0}}}}},
      {"root", {{"path", "rootfs"}}},
      {"mounts", {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}}}},
      {"linux", {{"namespaces", {{{"type", "pid"}}, {{"type", "mount"}}}}}}};
  if (question.rootless) return spec;
  spec["linux"]["cgroupsPath"] = StrCat("/buildkit/", id);
  // As each step has it; in a cgroup v2 tree it takes a program in the kernel.
  spec["linux"]["resources"]["devices"] = json::array({{{"allow", false}, {"access", "rwm"}}});
  return spec;
}

}  // namespace

bool IsRunc(const std::string& binary) {
  const std::string name = BaseName(binary);
  return name == "runc" || name == "buildkit-runc";
}

std::string LastRuntimeError(const std::string& log_file) {
  std::string found;
  const std::string text = ReadFile(log_file).value_or("");
  for (std::string_view line : StrSplit(text, '\n')) {
    json entry = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || !entry.contains("msg") || !entry["msg"].is_string()) continue;
    if (entry.value("level", json()) == "error") found = entry["msg"];
  }
  return found;
}

std::string WhyRuntimeFails(const RuntimeQuestion& question) {
  const std::string id = NewId();
  TempDir bundle(JoinPath(question.dir, StrCat("check-", id)));
  const std::string log = JoinPath(bundle.path(), "log.json");
  // Some runtimes make devices in /dev although no mount says so.
  if (!MakeDirs(JoinPath(bundle.path(), "rootfs/proc")).ok() ||
      !MakeDirs(JoinPath(bundle.path(), "rootfs/dev")).ok() ||
      !WriteFileAtomic(JoinPath(bundle.path(), "config.json"), Spec(id, question).dump()).ok()) {
    return "";
  }
  auto call = [&](std::vector<std::string> arguments) {
    ProcessOptions options;
    options.argv = {question.binary, "--log", log, "--log-format", "json"};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.env = OwnEnvironment();
    return RunCommand(std::move(options), "", {});
  };
  StatusOr<CommandOutput> ran = call({"run", "--bundle", bundle.path(), id});
  if (!ran.ok()) return ran.status().message();
  const std::string error = LastRuntimeError(log);
  call({"delete", "--force", id}).status().IgnoreError();
  // That there is no such program is what a working runtime says.
  return ran->exit_code == 0 || Contains(error, kProgram) ? "" : error;
}

}  // namespace kiln::worker::exec
