// buildctl debug workers, info, dump-llb, dump-metadata, and dial-stdio.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/client/display/display.h"
#include "api/proto/control.pb.h"
#include "base/file.h"
#include "base/platform.h"
#include "base/units.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/common.h"
#include "cmd/buildctl/go_template.h"
#include "cmd/buildctl/table.h"

namespace kiln::buildctl {
namespace {

namespace control = ::moby::buildkit::v1;
namespace types = ::moby::buildkit::v1::types;
using Json = nlohmann::ordered_json;

Json VersionJson(const types::BuildkitVersion& version) {
  Json out = {{"package", version.package()},
              {"version", version.version()},
              {"revision", version.revision()}};
  if (!version.dockerfileversion().empty()) out["dockerfileVersion"] = version.dockerfileversion();
  return out;
}

Platform PlatformOf(const pb::Platform& wire) {
  return NormalizePlatform({.os = wire.os(),
                            .architecture = wire.architecture(),
                            .variant = wire.variant(),
                            .os_version = wire.osversion()});
}

Json PlatformJson(const pb::Platform& wire) {
  Json out = {{"architecture", wire.architecture()}, {"os", wire.os()}};
  if (!wire.osversion().empty()) out["os.version"] = wire.osversion();
  if (!wire.variant().empty()) out["variant"] = wire.variant();
  return out;
}

Json WorkerJson(const types::WorkerRecord& worker) {
  std::map<std::string, std::string> labels(worker.labels().begin(), worker.labels().end());
  Json platforms;
  for (const auto& platform : worker.platforms()) platforms.push_back(PlatformJson(platform));
  Json policy = Json::array();
  for (const auto& rule : worker.gcpolicy()) {
    Json filters;
    for (const std::string& filter : rule.filters()) filters.push_back(filter);
    policy.push_back({{"all", rule.all()},
                      {"filter", filters},
                      {"keepDuration", rule.keepduration()},
                      {"reservedSpace", rule.reservedspace()},
                      {"maxUsedSpace", rule.maxusedspace()},
                      {"minFreeSpace", rule.minfreespace()}});
  }
  Json devices;
  for (const auto& device : worker.cdidevices()) {
    std::map<std::string, std::string> annotations(device.annotations().begin(),
                                                   device.annotations().end());
    devices.push_back({{"name", device.name()},
                       {"autoAllow", device.autoallow()},
                       {"annotations", annotations},
                       {"onDemand", device.ondemand()}});
  }
  return {{"id", worker.id()},
          {"labels", labels},
          {"platforms", platforms},
          {"gcPolicy", policy},
          {"buildkitVersion", VersionJson(worker.buildkitversion())},
          {"cdiDevices", devices}};
}

std::string Platforms(const types::WorkerRecord& worker) {
  std::vector<std::string> names;
  for (const auto& platform : worker.platforms()) {
    names.push_back(FormatPlatform(PlatformOf(platform)));
  }
  return StrJoin(names, ",");
}

std::string VersionLine(const types::BuildkitVersion& version) {
  return StrCat(version.package(), " ", version.version(), " ", version.revision());
}

std::string RuleLines(int index, const types::GCPolicy& rule) {
  std::string out =
      StrCat("GC Policy rule#", index, ":\n\tAll:\t", rule.all() ? "true" : "false", "\n");
  if (!rule.filters().empty()) out += StrCat("\tFilters:\t", StrJoin(rule.filters(), " "), "\n");
  if (rule.keepduration() > 0) {
    out += StrCat("\tKeep duration:\t", FormatDuration(rule.keepduration()), "\n");
  }
  auto size = [&](const char* name, int64_t bytes) {
    if (bytes > 0) out += StrCat("\t", name, ":\t", api::FormatBytes(bytes), "\n");
  };
  size("Reserved space", rule.reservedspace());
  size("Minimum free space", rule.minfreespace());
  size("Maximum used space", rule.maxusedspace());
  return out;
}

std::string WorkerLines(const types::WorkerRecord& worker) {
  std::string out = StrCat("ID:\t", worker.id(), "\nPlatforms:\t", Platforms(worker),
                           "\nBuildKit:\t", VersionLine(worker.buildkitversion()), "\n");
  if (!worker.buildkitversion().dockerfileversion().empty()) {
    out += StrCat("Dockerfile:\t", worker.buildkitversion().dockerfileversion(), "\n");
  }
  out += "Labels:\n";
  std::map<std::string, std::string> labels(worker.labels().begin(), worker.labels().end());
  for (const auto& [key, value] : labels) out += StrCat("\t", key, ":\t", value, "\n");
  if (!worker.cdidevices().empty()) {
    out += "Devices:\n";
    for (const auto& device : worker.cdidevices()) {
      out += StrCat("\tName:\t", device.name(), "\n");
      out += device.ondemand() ? "\tOnDemand:\ttrue\n"
                               : StrCat("\tAutoAllow:\t", device.autoallow() ? "true" : "false", "\n");
    }
    out += "\n";
  }
  int index = 0;
  for (const auto& rule : worker.gcpolicy()) out += RuleLines(index++, rule);
  return out + "\n";
}

Status RunWorkers(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  control::ListWorkersRequest request;
  for (const std::string& filter : call.List("filter")) request.add_filter(filter);
  control::ListWorkersResponse response;
  RETURN_IF_ERROR(client->ListWorkers(request, &response));
  if (std::string format = call.Text("format"); !format.empty()) {
    ASSIGN_OR_RETURN(GoTemplate output, GoTemplate::Parse(format));
    Json list;
    for (const auto& worker : response.record()) list.push_back(WorkerJson(worker));
    ASSIGN_OR_RETURN(std::string text, output.Render(list, "*client.WorkerInfo"));
    std::printf("%s\n", text.c_str());
    return OkStatus();
  }
  Table table;
  if (!call.Bool("verbose")) table.Add("ID\tPLATFORMS\n");
  for (const auto& worker : response.record()) {
    table.Add(call.Bool("verbose") ? WorkerLines(worker)
                                   : StrCat(worker.id(), "\t", Platforms(worker), "\n"));
  }
  std::fputs(table.Flush().c_str(), stdout);
  return OkStatus();
}

Status RunInfo(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  control::InfoResponse response;
  RETURN_IF_ERROR(client->Info(&response));
  const types::BuildkitVersion& version = response.buildkitversion();
  if (std::string format = call.Text("format"); !format.empty()) {
    ASSIGN_OR_RETURN(GoTemplate output, GoTemplate::Parse(format));
    ASSIGN_OR_RETURN(std::string text, output.Render({{"buildkitVersion", VersionJson(version)}},
                                                     "*client.Info"));
    std::printf("%s\n", text.c_str());
    return OkStatus();
  }
  Table table(false);
  table.Add(StrCat("BuildKit:\t", VersionLine(version), "\n"));
  if (!version.dockerfileversion().empty()) {
    table.Add(StrCat("Dockerfile:\t", version.dockerfileversion(), "\n"));
  }
  std::fputs(table.Flush().c_str(), stdout);
  return OkStatus();
}

void Copy(int from, int to) {
  char buffer[64 << 10];
  ssize_t n;
  while ((n = ::read(from, buffer, sizeof buffer)) > 0) {
    if (!WriteAll(to, std::string_view(buffer, static_cast<size_t>(n))).ok()) return;
  }
}

Status RunDialStdio(const Invocation& call) {
  std::string address = call.Text("addr");
  std::string_view scheme;
  std::string_view path;
  if (!StrCut(address, "://", &scheme, &path)) return UnknownError("invalid address " + address);
  if (scheme != "unix") {
    return UnknownError(
        StrCat("invalid address ", address, " (expected unix://, got ", scheme, "://)"));
  }
  ASSIGN_OR_RETURN(UniqueFd socket, api::DialSocket("unix", std::string(path)));
  int fd = socket.get();
  // Standard input may never end (a terminal): the daemon's side decides.
  std::thread([fd] {
    Copy(STDIN_FILENO, fd);
    ::shutdown(fd, SHUT_WR);
  }).detach();
  Copy(fd, STDOUT_FILENO);
  ::close(STDOUT_FILENO);
  socket.Release();  // the thread may still hold it; the process ends now
  return OkStatus();
}

// The daemon's databases are SQLite files: any SQLite shell shows them.
Status RunDumpMetadata(const Invocation& call) {
  std::string root = call.Text("root");
  StatusOr<std::vector<std::string>> names = ListDir(root);
  if (!names.ok()) return ErrnoStatus(ENOENT, StrCat("open ", root));
  return OkStatus();
}

}  // namespace

Command WorkersCommand() {
  Command command{.name = "workers", .usage = "list workers"};
  command.flags = {{"filter", Kind::kList, "only workers that match", {}, "f"},
                   {"verbose", Kind::kBool, "all details", {}, "v"},
                   {"format", Kind::kText, "Go template for the output, e.g. '{{json .}}'"}};
  command.run = RunWorkers;
  return command;
}

Command InfoCommand() {
  Command command{.name = "info", .usage = "display internal information"};
  command.flags = {{"format", Kind::kText, "Go template for the output, e.g. '{{json .}}'"}};
  command.run = RunInfo;
  return command;
}

Command DumpMetadataCommand() {
  Command command{.name = "dump-metadata",
                  .usage = "dump the metadata; the daemon must not be running"};
  command.flags = {{"root", Kind::kText, "path to state directory", "/var/lib/buildkit"}};
  command.run = RunDumpMetadata;
  return command;
}

Command DialStdioCommand() {
  Command command{.name = "dial-stdio",
                  .usage = "connect standard input and output to the daemon; for other programs"};
  command.hidden = true;
  command.run = RunDialStdio;
  return command;
}

}  // namespace kiln::buildctl
