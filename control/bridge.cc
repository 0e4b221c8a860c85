// Definitions become lazy references, frontends run in place.
#include "control/bridge.h"

#include "base/strings.h"
#include "control/reference.h"
#include "control/vertex.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

constexpr std::string_view kFrontendUrl = "github.com/moby/buildkit/errdefs.Frontend+json";

// errdefs.Frontend{name = 1, source = 2}; both are short texts.
std::string FrontendDetail(const frontend::SolveRequest& request) {
  std::string bytes;
  auto add = [&](char tag, const std::string& text) {
    if (text.empty() || text.size() > 127) return;
    bytes += tag;
    bytes += static_cast<char>(text.size());
    bytes += text;
  };
  add('\x0a', request.frontend);
  if (auto source = request.frontend_opts.find("source"); source != request.frontend_opts.end()) {
    add('\x12', source->second);
  }
  return bytes;
}

}  // namespace

frontend::BuildOpts OptsFor(const BuildContext& build, frontend::StringMap opts) {
  frontend::BuildOpts out;
  out.opts = std::move(opts);
  out.session_id = build.request.session;
  out.workers = build.services->workers;
  out.product = "buildkit";
  return out;
}

Status EvaluateAll(const frontend::Result& result) {
  if (result.ref != nullptr) RETURN_IF_ERROR(result.ref->Evaluate());
  for (const auto& [platform, ref] : result.refs) {
    if (ref != nullptr) RETURN_IF_ERROR(ref->Evaluate());
  }
  return OkStatus();
}

StatusOr<frontend::Result> BuildBridge::Solve(const frontend::SolveRequest& request,
                                              std::stop_token stop) {
  bool has_definition = request.definition != nullptr && request.definition->def_size() > 0;
  if (has_definition && !request.frontend.empty()) {
    return UnknownError("cannot solve with both Definition and Frontend specified");
  }
  StatusOr<frontend::Result> result = frontend::Result();
  if (has_definition) {
    result = SolveDefinition(request);
  } else if (!request.frontend.empty()) {
    result = SolveFrontend(request, stop);
  }
  if (result.ok() && request.evaluate) RETURN_IF_ERROR(EvaluateAll(*result));
  return result;
}

StatusOr<frontend::Result> BuildBridge::SolveDefinition(const frontend::SolveRequest& request) {
  auto edge = llb::LoadDefinition(*request.definition);
  Status checked = edge.status();
  if (edge.ok()) checked = CheckEntitlements(*edge, build_->entitlements);
  if (!checked.ok()) return Annotate(checked, "failed to load LLB");
  std::vector<std::shared_ptr<solver::CacheSource>> cache_sources;
  for (const frontend::CacheImport& import : request.cache_imports) {
    cache_sources.push_back(build_->CacheSourceFor(import));
  }
  frontend::Result result;
  result.ref = std::make_shared<SolvedReference>(build_, request.definition, *std::move(edge),
                                                 std::move(cache_sources));
  return result;
}

StatusOr<frontend::Result> BuildBridge::SolveFrontend(const frontend::SolveRequest& request,
                                                      std::stop_token stop) {
  const auto& frontends = build_->services->frontends;
  auto entry = frontends.find(request.frontend);
  if (entry == frontends.end()) {
    return UnknownError(StrCat("invalid frontend: ", request.frontend));
  }
  BuildBridge bridge(build_, OptsFor(*build_, request.frontend_opts), request.frontend_inputs);
  auto result = entry->second->Solve(bridge, stop);
  if (result.ok()) return result;
  Status failure = std::move(result).status();
  failure.AddDetail(kFrontendUrl, FrontendDetail(request));
  return failure;
}

StatusOr<frontend::SourceMeta> BuildBridge::ResolveSourceMeta(
    const pb::SourceOp& source, const frontend::ResolveRequest& request, std::stop_token stop) {
  if (!build_->services->resolve_meta) {
    return UnimplementedError("resolving source metadata is not supported");
  }
  std::string name = request.log_name;
  if (name.empty()) name = StrCat("resolve image config for ", source.identifier());
  Platform platform = request.platform ? *request.platform : DefaultPlatform();
  StatusOr<frontend::SourceMeta> meta = InternalError("not asked");
  RETURN_IF_ERROR(RunInVertex(
      *build_->progress, name, StrCat(source.identifier(), FormatPlatformAll(platform)),
      [&](solver::VertexProgress& progress) {
        meta = build_->services->resolve_meta(
            {source, request, build_->request.session, build_->request.id, progress, stop});
        return meta.ok() ? OkStatus() : meta.status();
      }));
  return meta;
}

void BuildBridge::Warn(const frontend::Warning& warning) {
  solver::WarningEvent event;
  event.vertex = warning.vertex;
  event.level = warning.level == 0 ? 1 : warning.level;
  event.short_text = warning.short_text;
  event.detail = warning.detail;
  event.url = warning.url;
  event.source_info = warning.source_info;
  event.ranges = warning.ranges;
  build_->progress->Send(std::move(event));
}

}  // namespace kiln::control
