// Definitions become lazy references, frontends run in place.
#include "control/bridge.h"

#include "base/strings.h"
#include "control/cache_mount_reset.h"
#include "control/proxy_policy.h"
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
    result = SolveDefinition(request, stop);
  } else if (!request.frontend.empty()) {
    result = SolveFrontend(request, stop);
  }
  if (result.ok() && request.evaluate) RETURN_IF_ERROR(EvaluateAll(*result));
  if (result.ok()) RegisterOrigins(*result);
  return result;
}

// Later requests may have these results as inputs.
void BuildBridge::RegisterOrigins(const frontend::Result& result) {
  auto add = [](const frontend::ReferencePtr& reference) {
    if (reference == nullptr || reference->definition() == nullptr) return;
    static_cast<SolvedReference&>(*reference).scope()->Register(reference.get(),
                                                                *reference->definition());
  };
  add(result.ref);
  for (const auto& [platform, reference] : result.refs) add(reference);
}

// The definition as the policies of the build and of the frontend want it.
StatusOr<frontend::DefinitionPtr> BuildBridge::WithPolicy(const frontend::SolveRequest& request,
                                                          std::stop_token stop) {
  ASSIGN_OR_RETURN(SourcePolicy policy, PolicyOf(request.source_policies));
  if (policy.empty() && build_->request.source_policy_session.empty()) return request.definition;
  auto change = [&](pb::Op* op) {
    return Annotate(ApplyPolicy(policy, op, stop), "error evaluating the source policy");
  };
  return ChangeSources(request.definition, change, !build_->request.source_policy_session.empty());
}

StatusOr<SourcePolicy> BuildBridge::PolicyOf(std::vector<std::string> more) const {
  if (!build_->request.source_policy.empty()) {
    more.insert(more.begin(), build_->request.source_policy);
  }
  return SourcePolicy::Parse(more);
}

// Rules first, then the client.
Status BuildBridge::ApplyPolicy(const SourcePolicy& policy, pb::Op* op, std::stop_token stop) {
  // Whoever decides sees one name for one source.
  auto rules = [&policy](pb::SourceOp* source) {
    NormalizeIdentifier(source);
    return policy.Evaluate(source).status();
  };
  RETURN_IF_ERROR(rules(op->mutable_source()));
  const std::string& session = build_->request.source_policy_session;
  if (session.empty() || !build_->services->check_policy) return OkStatus();
  return build_->services->check_policy(
      {.session = session,
       .op = *op,
       .rules = rules,
       .resolve = [&](const pb::SourceOp& source, const frontend::ResolveRequest& request) {
         return Resolve(source, request, source, stop);
       }});
}

Status BuildBridge::ApplyPolicies(pb::Op* op, std::stop_token stop) {
  return ApplyPolicies(op, {}, std::move(stop));
}

Status BuildBridge::ApplyPolicies(pb::Op* op, std::vector<std::string> more,
                                  std::stop_token stop) {
  ASSIGN_OR_RETURN(SourcePolicy policy, PolicyOf(std::move(more)));
  return ApplyPolicy(policy, op, std::move(stop));
}

StatusOr<std::shared_ptr<const worker::proxy::ProxyConfig>> BuildBridge::ProxyFor(
    int network) const {
  using Config = std::shared_ptr<const worker::proxy::ProxyConfig>;
  if (!build_->proxy_network() || network == pb::NetMode::NONE) return Config();
  if (network != pb::NetMode::UNSET && network != pb::NetMode::HOST) {
    return UnknownError(
        StrCat("network mode ", network, " is not allowed when proxy network is enabled"));
  }
  auto config = std::make_shared<worker::proxy::ProxyConfig>();
  config->policy = ProxyPolicyOf({build_});
  return Config(std::move(config));
}

StatusOr<frontend::Result> BuildBridge::SolveDefinition(const frontend::SolveRequest& request,
                                                        std::stop_token stop) {
  // As with the reference, what must not be built may be asked for: a frontend that never
  // needs the result has no failure.
  auto refused = [&](const Status& why) {
    frontend::Result result;
    auto reference = std::make_shared<SolvedReference>(
        build_, scope_, request.definition, llb::Edge(),
        std::vector<std::shared_ptr<solver::CacheSource>>());
    reference->Refuse(Annotate(why, "failed to load LLB"));
    result.ref = std::move(reference);
    return result;
  };
  StatusOr<frontend::DefinitionPtr> allowed = WithPolicy(request, stop);
  if (!allowed.ok()) return refused(allowed.status());
  auto edge = llb::LoadDefinition(**allowed, {.adjust = [&](pb::Op* op) {
    return CheckEntitlements(op, build_->entitlements, build_->services->devices);
  }, .proxy_network = build_->proxy_network()});
  if (!edge.ok()) return refused(edge.status());
  RETURN_IF_ERROR(ForgetCacheMounts(*edge, *build_->services));
  std::vector<std::shared_ptr<solver::CacheSource>> cache_sources;
  for (const frontend::CacheImport& import : request.cache_imports) {
    cache_sources.push_back(build_->CacheSourceFor(import));
  }
  frontend::Result result;
  result.ref = std::make_shared<SolvedReference>(build_, scope_, request.definition,
                                                 *std::move(edge), std::move(cache_sources));
  return result;
}

StatusOr<frontend::Result> BuildBridge::SolveFrontend(const frontend::SolveRequest& request,
                                                      std::stop_token stop) {
  const auto& frontends = build_->services->frontends;
  auto entry = frontends.find(request.frontend);
  if (entry == frontends.end()) {
    return UnknownError(StrCat("invalid frontend: ", request.frontend));
  }
  ProvenanceScopePtr scope =
      scope_->Child({request.frontend, request.frontend_opts, request.frontend_inputs});
  BuildBridge bridge(build_, std::move(scope), OptsFor(*build_, request.frontend_opts),
                     request.frontend_inputs);
  auto result = entry->second->Solve(bridge, stop);
  if (result.ok()) return result;
  Status failure = std::move(result).status();
  failure.AddDetail(kFrontendUrl, FrontendDetail(request));
  return failure;
}

StatusOr<frontend::SourceMeta> BuildBridge::ResolveSourceMeta(
    const pb::SourceOp& source, const frontend::ResolveRequest& request, std::stop_token stop) {
  pb::Op op;
  *op.mutable_source() = source;
  if (request.platform) {
    op.mutable_platform()->set_os(request.platform->os);
    op.mutable_platform()->set_architecture(request.platform->architecture);
    op.mutable_platform()->set_variant(request.platform->variant);
    op.mutable_platform()->set_osversion(request.platform->os_version);
  }
  RETURN_IF_ERROR(Annotate(ApplyPolicies(&op, request.source_policies, stop),
                           "could not resolve image due to policy"));
  ASSIGN_OR_RETURN(frontend::SourceMeta meta, Resolve(op.source(), request, source, stop));
  NoteImage(meta, request.platform);
  return meta;
}

// Shown as a vertex that is named after what was asked for, before policies.
StatusOr<frontend::SourceMeta> BuildBridge::Resolve(const pb::SourceOp& source,
                                                    const frontend::ResolveRequest& request,
                                                    const pb::SourceOp& asked,
                                                    std::stop_token stop) {
  if (!build_->services->resolve_meta) {
    return UnimplementedError("resolving source metadata is not supported");
  }
  std::string name = request.log_name;
  if (name.empty()) name = StrCat("resolve image config for ", asked.identifier());
  Platform platform = request.platform ? *request.platform : DefaultPlatform();
  StatusOr<frontend::SourceMeta> meta = InternalError("not asked");
  RETURN_IF_ERROR(RunInVertex(
      *build_->progress, name, StrCat(asked.identifier(), FormatPlatformAll(platform)),
      [&](solver::VertexProgress& progress) {
        meta = build_->services->resolve_meta(
            {source, request, build_->request.session, build_->request.id, progress, stop});
        return meta.ok() ? OkStatus() : meta.status();
      }));
  return meta;
}

// Its config shaped the result, even where its files did not.
void BuildBridge::NoteImage(const frontend::SourceMeta& meta,
                            const std::optional<Platform>& platform) {
  std::string_view scheme, ref;
  if (meta.image_digest.empty() || !StrCut(meta.identifier, "://", &scheme, &ref)) return;
  scope_->AddImage({std::string(ref), platform, meta.image_digest, scheme != "docker-image"});
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
