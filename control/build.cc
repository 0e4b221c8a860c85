// The four steps: load, convert, solve, export.
#include "control/build.h"

#include <thread>

#include "base/go_json.h"
#include "base/log.h"
#include "base/strings.h"
#include "control/export_source.h"
#include "control/reference.h"
#include "control/request_check.h"
#include "control/vertex.h"
#include "oci/manifest.h"
#include "worker/op/failed_steps.h"
#include "worker/worker.h"

namespace kiln::control {
namespace {

// A build arg of this name sets the time of everything exported.
constexpr std::string_view kEpochArg = "build-arg:SOURCE_DATE_EPOCH";
constexpr std::string_view kEpochAttr = "source-date-epoch";
constexpr std::chrono::seconds kSession{5};
constexpr int kCompatibilityVersions[] = {10, 20, 30};

Status CheckCompatibilityVersion(int version) {
  for (int known : kCompatibilityVersions) {
    if (version == known) return OkStatus();
  }
  constexpr int kNewest = kCompatibilityVersions[std::size(kCompatibilityVersions) - 1];
  std::string text = StrCat("unsupported compatibility-version ", version);
  if (version > kNewest) {
    return UnknownError(StrCat(text, ": upgrade buildkit (max supported: ", kNewest, ")"));
  }
  std::vector<std::string> known;
  for (int one : kCompatibilityVersions) known.push_back(StrCat(one));
  return UnknownError(StrCat(text, " (supported: [", StrJoin(known, " "), "])"));
}

// Registers a build with the scheduler for as long as it lives.
class SchedulerEntry {
 public:
  explicit SchedulerEntry(const BuildContext& build)
      : scheduler_(*build.services->scheduler),
        failed_steps_(build.services->worker->failed_steps()),
        id_(build.request.id) {
    scheduler_.StartBuild({.id = id_,
                           .session = build.request.session,
                           .progress = build.progress,
                           .compatibility_version = build.request.compatibility_version,
                           .explain = build.request.explain});
  }
  ~SchedulerEntry() {
    scheduler_.EndBuild(id_);
    // Steps that were stopped fail until then, and their trees are kept for the build.
    failed_steps_.EndBuild(id_);
  }

 private:
  solver::Scheduler& scheduler_;
  worker::FailedSteps& failed_steps_;
  std::string id_;
};

// The containers of a client go with the build, however it ends.
class GatewayEnd {
 public:
  explicit GatewayEnd(ClientFrontend* client) : client_(client) {}
  ~GatewayEnd() {
    if (client_ != nullptr) client_->containers().ReleaseAll();
  }

 private:
  ClientFrontend* client_;
};

}  // namespace

Build::Build(const Services& services, RequestStore* requests, BuildRequest request)
    : context_(std::make_shared<BuildContext>()) {
  context_->request = std::move(request);
  context_->services = &services;
  if (services.machine != nullptr) context_->machine = services.machine->Start();
  const BuildRequest& own = this->request();
  auto scope = ProvenanceScope::Top({own.frontend, own.frontend_opts, own.frontend_inputs}, requests);
  bridge_ = std::make_unique<BuildBridge>(context_, std::move(scope),
                                          OptsFor(*context_, own.frontend_opts),
                                          own.frontend_inputs);
  if (own.client_driven()) client_ = std::make_unique<ClientFrontend>(*bridge_, context_);
}

void Build::Enter() {
  entry_ = std::make_shared<SchedulerEntry>(*context_);
}

StatusOr<BuildResponse> Build::Run(std::stop_token stop) {
  std::shared_ptr<void> entry = std::move(entry_);
  std::stop_callback cancel(stop, [this] {
    context_->stop.request_stop();
    context_->services->scheduler->Cancel(request().id, CancelledError("context canceled"));
  });
  Outputs outputs;
  RETURN_IF_ERROR(Load(&outputs));
  ASSIGN_OR_RETURN(cache_exports_, CacheExports::Configure(*context_));
  ASSIGN_OR_RETURN(attestations_, Attestations::Parse(request().frontend_opts));
  GatewayEnd gateway_end(client_.get());
  ASSIGN_OR_RETURN(frontend::Result result, Convert(stop));
  NoteRequest(request().frontend_opts, &result);
  StatusOr<BuildResponse> response = Finish(&result, outputs, stop);
  if (!request().internal && !captures_.empty()) {
    Status noted = NoteProvenance(result);
    if (!noted.ok()) log::Warning("no provenance in the history", {{"error", noted.message()}});
  }
  return response;
}

StatusOr<BuildResponse> Build::Finish(frontend::Result* result, Outputs& outputs,
                                      std::stop_token stop) {
  ASSIGN_OR_RETURN(worker::ExportSource source, Solve(result, stop));
  if (request().session_exporter) RETURN_IF_ERROR(AddSessionExporters(*result, source, &outputs));
  RETURN_IF_ERROR(cache_exports_.Plan(*context_, *result));
  ASSIGN_OR_RETURN(BuildResponse response, Export(source, outputs, stop));
  ASSIGN_OR_RETURN(BuildResponse cached, cache_exports_.Run(*context_, stop));
  response.merge(cached);
  for (const auto& [key, value] : result->metadata) {
    if (key.starts_with("frontend.")) response[key] = value;
  }
  if (request().session_exporter) {
    ASSIGN_OR_RETURN(auto session, context_->services->sessions->Get(request().session, kSession));
    RETURN_IF_ERROR(session->FinalizeExport(response));
  }
  return response;
}

// Outputs that the client asks for now that it can see the result.
Status Build::AddSessionExporters(const frontend::Result& result,
                                  const worker::ExportSource& source, Outputs* outputs) {
  ASSIGN_OR_RETURN(auto session, context_->services->sessions->Get(request().session, kSession));
  std::vector<std::string> refs;
  auto add = [&](const cache::Ref& tree, const frontend::ReferencePtr& reference) {
    if (tree.empty()) return;
    refs.push_back(tree.id());
    // The client may want to look at it before it decides.
    if (client_ != nullptr) client_->Name(tree.id(), reference);
  };
  if (source.ref) add(*source.ref, result.ref);
  for (const auto& [platform, tree] : source.refs) {
    auto reference = result.refs.find(platform);
    add(tree, reference == result.refs.end() ? nullptr : reference->second);
  }
  ASSIGN_OR_RETURN(auto wanted, session->FindExporters(source.metadata, refs));
  for (const auto& exporter : wanted) {
    ASSIGN_OR_RETURN(auto made,
                     context_->services->exporters->Make(exporter.type, exporter.attrs));
    outputs->push_back(std::move(made));
  }
  return OkStatus();
}

// The full document, whatever was attested.
Status Build::NoteProvenance(const frontend::Result& result) {
  PredicateOptions options;
  options.usage = true;
  options.builder_id = attestations_.builder_id();
  for (const auto& [id, capture] : captures_) {
    const frontend::ReferencePtr& reference = id.empty() ? result.ref : result.refs.at(id);
    ASSIGN_OR_RETURN(auto make, PredicateMaker(context_, options, capture, reference));
    ASSIGN_OR_RETURN(std::string json, make());
    facts_.provenance[id] = GoJsonIndent(json);
  }
  return OkStatus();
}

// Everything that can be said of the request before work starts.
Status Build::Load(Outputs* outputs) {
  RETURN_IF_ERROR(CheckCompatibilityVersion(request().compatibility_version));
  auto epoch = request().frontend_opts.find(std::string(kEpochArg));
  for (const OutputRequest& output : request().outputs) {
    frontend::StringMap attrs = output.attrs;
    // Anything but a number is the frontend's business ("context": it finds the time and
    // returns it with the result).
    int64_t seconds = 0;
    if (epoch != request().frontend_opts.end() &&
        (epoch->second.empty() || ParseInt64(epoch->second, &seconds))) {
      attrs.try_emplace(std::string(kEpochAttr), epoch->second);
    }
    ASSIGN_OR_RETURN(auto exporter, context_->services->exporters->Make(output.type, attrs));
    outputs->push_back(std::move(exporter));
  }
  ASSIGN_OR_RETURN(context_->entitlements,
                   GrantEntitlements(request().entitlements, context_->services->entitlements));
  return OkStatus();
}

// Source text, or the client, to references that can be solved.
StatusOr<frontend::Result> Build::Convert(std::stop_token stop) {
  if (client_ != nullptr) return client_->Wait(stop);
  frontend::SolveRequest top;
  top.definition = request().definition;
  top.frontend = request().frontend;
  top.frontend_opts = request().frontend_opts;
  top.frontend_inputs = request().frontend_inputs;
  top.cache_imports = request().cache_imports;
  return bridge_->Solve(top, stop);
}

// All platforms at once: their graphs share vertices.
StatusOr<worker::ExportSource> Build::Solve(frontend::Result* result, std::stop_token stop) {
  std::vector<frontend::ReferencePtr> open;
  if (result->ref != nullptr) open.push_back(result->ref);
  for (const auto& [platform, ref] : result->refs) {
    if (ref != nullptr) open.push_back(ref);
  }
  std::vector<Status> done(open.size());
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < open.size(); ++i) {
      threads.emplace_back([&, i] { done[i] = open[i]->Evaluate(); });
    }
    if (!open.empty()) done[0] = open[0]->Evaluate();
  }
  for (const Status& status : done) RETURN_IF_ERROR(status);
  facts_.metadata = result->metadata;
  StatusOr<ResultCaptures> captures = CaptureResult(*result);
  if (captures.ok()) {
    captures_ = *std::move(captures);
  } else if (attestations_.provenance()) {
    return captures.status();
  } else {  // nobody asked for it but the history
    log::Warning("no provenance", {{"error", captures.status().message()}});
  }
  RETURN_IF_ERROR(attestations_.AddSboms(*bridge_, result, stop));
  ASSIGN_OR_RETURN(worker::ExportSource source, MakeExportSource(*result));
  RETURN_IF_ERROR(attestations_.AddProvenance(context_, *result, captures_, &source));
  return source;
}

StatusOr<BuildResponse> Build::Export(const worker::ExportSource& source, Outputs& outputs,
                                      std::stop_token stop) {
  bool empty = source.refs.empty() && (!source.ref || source.ref->empty());
  ASSIGN_OR_RETURN(platform_warnings_, CheckPlatforms(request().frontend_opts, source.metadata,
                                                      source.refs.size(), empty));
  std::vector<StatusOr<BuildResponse>> done(outputs.size(), BuildResponse());
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < outputs.size(); ++i) {
      threads.emplace_back([&, i] { done[i] = ExportOne(source, *outputs[i], i, stop); });
    }
    if (!outputs.empty()) done[0] = ExportOne(source, *outputs[0], 0, stop);
  }
  if (outputs.empty() && !platform_warnings_.empty()) {
    RETURN_IF_ERROR(RunInVertex(*context_->progress, "Verifying build result", NewId(),
                                [&](solver::VertexProgress& progress) {
                                  WarnOfPlatforms(progress);
                                  return OkStatus();
                                }));
  }
  BuildResponse response;
  for (auto& part : done) {
    if (!part.ok()) return part.status();
    for (auto& [key, value] : *part) response[key] = std::move(value);
  }
  return response;
}

void Build::WarnOfPlatforms(solver::VertexProgress& progress) const {
  for (const std::string& text : platform_warnings_) {
    solver::WarningEvent warning;
    warning.short_text = text;
    progress.Warn(std::move(warning));
  }
}

StatusOr<BuildResponse> Build::ExportOne(const worker::ExportSource& source,
                                         worker::Exporter& output, size_t index,
                                         std::stop_token stop) {
  StatusOr<BuildResponse> response = BuildResponse();
  RETURN_IF_ERROR(RunInVertex(
      *context_->progress, output.name(), StrCat(request().session, "-export-", index),
      [&](solver::VertexProgress& progress) {
        if (index == 0) WarnOfPlatforms(progress);
        worker::ExportContext context{.build_id = request().id,
                                      .session_id = request().session,
                                      .exporter_id = StrCat(index),
                                      .compatibility_version = request().compatibility_version,
                                      .progress = &progress,
                                      .inline_cache = cache_exports_.Inline(
                                          *context_, source, output.compression(), stop),
                                      .stop = stop};
        response = output.Export(source, context);
        return response.ok() ? OkStatus() : response.status();
      }));
  auto descriptor = response->find("containerimage.descriptor");
  if (descriptor == response->end()) return response;
  std::string json;
  if (!Base64Decode(descriptor->second, &json)) return response;
  ASSIGN_OR_RETURN(oci::Descriptor parsed, oci::ParseDescriptor(json));
  std::lock_guard lock(facts_mutex_);
  facts_.results[static_cast<int64_t>(index)] = std::move(parsed);
  return response;
}

}  // namespace kiln::control
