// buildctl build.
#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/client/build.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/go_json.h"
#include "base/log.h"
#include "cmd/buildctl/build_flags.h"
#include "cmd/buildctl/cache_metrics.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/common.h"
#include "cmd/buildctl/interrupt.h"
#include "cmd/buildctl/json_fault.h"
#include "cmd/buildctl/progress_feed.h"
#include "cmd/buildctl/stdin_llb.h"
#include "llb/proto/ops.pb.h"
#include "llb/proto/policy.pb.h"

namespace kiln::buildctl {
namespace {

StatusOr<std::string> ReadPolicy(const std::string& file) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(file));
  std::string fault = JsonFault(text);
  moby::buildkit::v1::sourcepolicy::Policy policy;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  auto status = google::protobuf::util::JsonStringToMessage(text, &policy, options);
  if (!fault.empty() || !status.ok()) {
    std::string reason = fault.empty() ? std::string(status.message()) : fault;
    return UnknownError(
        StrCat("failed to unmarshal source-policy-file ", Quote(file), ": ", reason));
  }
  return policy.SerializeAsString();
}

// Services of the session, in the order in which the reference checks them.
Status AddAttachments(const Invocation& call, api::BuildRequest& request) {
  api::AuthOptions auth;
  ASSIGN_OR_RETURN(auth.tls, ParseAuthTls(call.List("registry-auth-tlscontext")));
  auth.on_use = [step = request.on_own_step](const std::string& name) {
    if (*step) (*step)(name);
  };
  request.attachments.push_back(api::ServeAuth(std::move(auth)));
  if (std::vector<std::string> ssh = call.List("ssh"); !ssh.empty()) {
    ASSIGN_OR_RETURN(std::vector<api::SshAgentSource> agents, ParseSsh(ssh));
    ASSIGN_OR_RETURN(api::Attachment attachment, api::ServeSsh(std::move(agents)));
    request.attachments.push_back(std::move(attachment));
  }
  if (std::vector<std::string> secrets = call.List("secret"); !secrets.empty()) {
    ASSIGN_OR_RETURN(std::vector<api::SecretSource> sources, ParseSecrets(secrets));
    ASSIGN_OR_RETURN(api::Attachment attachment, api::ServeSecrets(std::move(sources)));
    request.attachments.push_back(std::move(attachment));
  }
  return OkStatus();
}

Status FillRequest(const Invocation& call, api::BuildRequest& request) {
  request.entitlements = call.List("allow");
  RETURN_IF_ERROR(CheckAllow(request.entitlements));
  ASSIGN_OR_RETURN(request.exports, ParseOutputs(call.List("output")));
  ASSIGN_OR_RETURN(request.cache_exports, ParseExportCaches(call.List("export-cache")));
  ASSIGN_OR_RETURN(request.cache_imports, ParseImportCaches(call.List("import-cache")));
  if (std::string file = call.Text("source-policy-file"); !file.empty()) {
    ASSIGN_OR_RETURN(request.source_policy, ReadPolicy(file));
  }
  request.ref = NewId();
  request.frontend = call.Text("frontend");
  request.proxy_network = call.Bool("proxy-network");
  const char* explain = std::getenv("BUILDKIT_EXPLAIN");
  request.explain = explain != nullptr && std::string_view(explain) == "1";
  auto annotated = [](auto parsed, std::string_view what, auto& out) -> Status {
    if (!parsed.ok()) return Annotate(parsed.status(), what);
    out = *std::move(parsed);
    return OkStatus();
  };
  RETURN_IF_ERROR(annotated(ParseOpts(call.List("opt")), "invalid opt", request.frontend_attrs));
  RETURN_IF_ERROR(annotated(ParseLocals(call.List("local")), "invalid local", request.local_dirs));
  RETURN_IF_ERROR(annotated(ParseOciLayouts(call.List("oci-layout")), "invalid oci-layout",
                            request.oci_layouts));
  if (!request.frontend.empty()) {
    if (call.Bool("no-cache")) request.frontend_attrs["no-cache"] = "";
    return OkStatus();
  }
  ASSIGN_OR_RETURN(request.definition, ReadStdinDefinition(call.Bool("no-cache")));
  return OkStatus();
}

// These files have the reference's mode whatever the umask is.
Status WriteForAll(const std::string& file, std::string_view text) {
  RETURN_IF_ERROR(WriteFileAtomic(file, text, 0666));
  return ::chmod(file.c_str(), 0666) == 0 ? OkStatus() : ErrnoStatus(errno, StrCat("chmod ", file));
}

Status WriteMetadata(const std::string& file, const std::map<std::string, std::string>& response) {
  GoJsonObject out;
  for (const auto& [key, value] : response) {
    std::string decoded;
    nlohmann::json document;
    if (Base64Decode(value, &decoded)) document = nlohmann::json::parse(decoded, nullptr, false);
    if (document.is_object() && !document.empty()) {
      out.Raw(key, decoded);
    } else {
      out.String(key, value);
    }
  }
  return WriteForAll(file, GoJsonIndent(out.Finish()));
}

void PrintSubrequest(const std::map<std::string, std::string>& metadata) {
  if (auto text = metadata.find("result.txt"); text != metadata.end()) {
    std::fputs(text->second.c_str(), stdout);
    return;
  }
  for (const auto& [key, value] : metadata) {
    if (key.starts_with("result.")) std::printf("%s\n%s\n", key.c_str(), value.c_str());
  }
}

// Where progress goes: the display, a trace file and the counts of cached steps.
struct Watchers {
  std::unique_ptr<ProgressFeed> display;
  std::unique_ptr<ProgressFeed> trace;
  UniqueFd trace_file;
  std::optional<CacheMetrics> metrics;

  Status Open(const Invocation& call) {
    if (std::string file = call.Text("trace"); !file.empty()) {
      ASSIGN_OR_RETURN(trace_file, OpenFile(file, O_APPEND | O_CREAT | O_WRONLY, 0600));
      log::Info(StrCat("tracing logs to ", file));
      ASSIGN_OR_RETURN(trace, ProgressFeed::Start("rawjson", trace_file.get()));
    }
    if (std::string file = call.Text("debug-json-cache-metrics"); !file.empty()) {
      metrics.emplace();
      bool stream = file == "stdout" || file == "stderr";
      log::Info(StrCat("writing JSON cache metrics to ", stream ? "/dev/" : "", file));
    }
    return OkStatus();
  }
  void Add(api::SolveStatus message) {
    if (trace != nullptr) trace->Add(message);
    if (metrics.has_value()) metrics->Add(message);
    display->Add(std::move(message));
  }
  void Finish() {
    display->Finish();
    if (trace != nullptr) trace->Finish();
  }
  Status ReportMetrics(const std::string& file) const {
    if (!metrics.has_value()) return OkStatus();
    std::string report = metrics->Report();
    if (file == "stdout") return WriteAll(STDOUT_FILENO, report);
    if (file == "stderr") return WriteAll(STDERR_FILENO, report);
    ASSIGN_OR_RETURN(UniqueFd out, OpenFile(file, O_TRUNC | O_CREAT | O_WRONLY, 0600));
    return WriteAll(out.get(), report);
  }
};

Status Drive(const Invocation& call, api::Client& client, api::BuildRequest request,
             Watchers& watchers, api::BuildResult* result) {
  Interrupt interrupt;
  StatusOr<std::unique_ptr<ProgressFeed>> feed =
      ProgressFeed::Start(call.Text("progress"), STDERR_FILENO);
  if (!feed.ok()) return feed.status();
  watchers.display = *std::move(feed);
  ProgressFeed* shown = watchers.display.get();
  *request.on_own_step = [shown](const std::string& name) { shown->AddStep(name); };
  StatusOr<api::BuildResult> built = api::Build(
      client, std::move(request),
      [&](api::SolveStatus message) { watchers.Add(std::move(message)); },
      [](const std::string& warning) { log::Warning(warning); }, interrupt.token());
  watchers.Finish();
  if (!built.ok()) return built.status();
  *result = *std::move(built);
  return OkStatus();
}

Status RunBuild(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  Watchers watchers;
  RETURN_IF_ERROR(watchers.Open(call));
  api::BuildRequest request;
  RETURN_IF_ERROR(AddAttachments(call, request));
  RETURN_IF_ERROR(FillRequest(call, request));
  std::string ref = request.ref;
  api::BuildResult result;
  Status status = Drive(call, *client, std::move(request), watchers, &result);
  if (std::string file = call.Text("ref-file"); !file.empty()) {
    WriteForAll(file, ref).IgnoreError();
  }
  RETURN_IF_ERROR(status);
  if (std::string file = call.Text("metadata-file");
      !file.empty() && !result.exporter_response.empty()) {
    RETURN_IF_ERROR(WriteMetadata(file, result.exporter_response));
  }
  PrintSubrequest(result.metadata);
  std::fflush(stdout);
  return watchers.ReportMetrics(call.Text("debug-json-cache-metrics"));
}

}  // namespace

Command BuildCommand() {
  Command command{.name = "build", .alias = "b", .usage = "build"};
  command.usage_text =
      "buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=. [options]";
  command.flags = {
      {"output", Kind::kList, "where the result goes, e.g. type=image,name=IMAGE,push=true", {}, "o"},
      {"progress", Kind::kText, "kind of progress (auto, plain, tty, rawjson)", "auto"},
      {"trace", Kind::kText, "file that gets all progress messages as JSON"},
      {"local", Kind::kList, "folder that the build may read, NAME=DIR"},
      {"oci-layout", Kind::kList, "OCI layout that the build may read, NAME=DIR"},
      {"frontend", Kind::kText, "frontend of the build"},
      {"opt", Kind::kList, "option of the frontend, e.g. target=foo or build-arg:foo=bar"},
      {"no-cache", Kind::kBool, "use no cached steps"},
      {"export-cache", Kind::kList, "where the cache goes, e.g. type=local,dest=DIR"},
      {"import-cache", Kind::kList, "where cache comes from, e.g. type=local,src=DIR"},
      {"secret", Kind::kList, "secret for the build, id=NAME,src=FILE"},
      {"allow", Kind::kList, "extra privilege: network.host, security.insecure, device"},
      {"ssh", Kind::kList, "SSH agent or keys, default|ID[=SOCKET[,raw=false]|KEY[,KEY]]"},
      {"metadata-file", Kind::kText, "file that gets what is known of the result, as JSON"},
      {"source-policy-file", Kind::kText, "source policy, a JSON file"},
      {"proxy-network", Kind::kBool, "let steps reach the network by the proxy only"},
      {"ref-file", Kind::kText, "file that gets the id of the build"},
      {"registry-auth-tlscontext", Kind::kList,
       "TLS towards token servers, host=URL,insecure=false,ca=FILE,cert=FILE,key=FILE"},
      {"debug-json-cache-metrics", Kind::kText, "file (or stdout, stderr) for cache metrics"},
  };
  command.run = RunBuild;
  return command;
}

}  // namespace kiln::buildctl
