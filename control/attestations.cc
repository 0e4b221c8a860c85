// See attestations.h.
#include "control/attestations.h"

#include <set>

#include "base/csv.h"
#include "base/strings.h"
#include "control/reference.h"
#include "frontend/sbom/scan_step.h"
#include "llb/proto/ops.pb.h"
#include "llb/state.h"
#include "oci/reference.h"
#include "solver/cache_export.h"
#include "worker/exporter/attestation.h"
#include "worker/exporter/export_options.h"
#include "worker/exporter/image_layers.h"

namespace kiln::control {
namespace {

constexpr std::string_view kDefaultGenerator = "docker/buildkit-syft-scanner:stable-1";
constexpr int kInToto = 0;

StatusOr<frontend::StringMap> ParseAttrs(const std::string& kind, const std::string& value) {
  frontend::StringMap attrs;
  if (kind == "sbom") attrs["generator"] = kDefaultGenerator;
  if (kind == "provenance") attrs["version"] = "v1";
  if (value.empty()) return attrs;
  StatusOr<std::vector<std::string>> fields = CsvFields(value);
  if (!fields.ok()) return Annotate(fields.status(), StrCat("failed to parse ", kind));
  for (const std::string& field : *fields) {
    std::string_view key = field, setting;
    StrCut(field, "=", &key, &setting);
    attrs[std::string(key)] = setting;
  }
  return attrs;
}

SolvedReference& Solved(const frontend::ReferencePtr& reference) {
  return static_cast<SolvedReference&>(*reference);
}

std::set<const void*> AllOf(const frontend::Result& result) {
  std::set<const void*> all = {result.ref.get()};
  for (const auto& [id, reference] : result.refs) all.insert(reference.get());
  for (const auto& [id, attestations] : result.attestations) {
    for (const frontend::Attestation& attestation : attestations) {
      all.insert(attestation.ref.get());
    }
  }
  return all;
}

bool SameChain(const std::vector<oci::Descriptor>& a, const std::vector<oci::Descriptor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.digest == y.digest; });
}

std::vector<oci::Descriptor> ChainOf(const cache::Remote& remote) {
  std::vector<oci::Descriptor> chain;
  for (const cache::Layer& layer : remote.layers) {
    oci::Descriptor blob = layer.blob;
    worker::DropForeignNotes(&blob.annotations);
    chain.push_back(std::move(blob));
  }
  return chain;
}

// Layers that exist already, by step of the predicate.
Status AddLayers(const BuildContext& build, const Predicate& predicate,
                 const frontend::ReferencePtr& reference, RunFacts* run) {
  ASSIGN_OR_RETURN(const solver::EdgeResult* result, Solved(reference).Get());
  solver::ExportPlan plan = build.services->scheduler->PlanExport(result->keys);
  for (const solver::ExportPlan::Node& node : plan.nodes) {
    int step = predicate.StepOf(node.vertex.text());
    if (step < 0 || !node.export_cache.value_or(true)) continue;
    for (const solver::CacheRecord& record : node.records) {
      if (record.source != nullptr || record.id.empty()) continue;
      StatusOr<cache::Ref> ref = build.services->ops->LoadResult(record.id);
      if (!ref.ok() || ref->empty()) continue;
      StatusOr<cache::Remote> remote = ref->GetRemote(/*create=*/false, {});
      if (!remote.ok()) break;
      auto& chains = run->layers[StrCat("step", step, ":", node.output)];
      std::vector<oci::Descriptor> chain = ChainOf(*remote);
      bool known = false;
      for (const auto& other : chains) known = known || SameChain(other, chain);
      if (!known) chains.push_back(std::move(chain));
      break;
    }
  }
  return OkStatus();
}

const frontend::ReferencePtr* FindReference(const frontend::Result& result,
                                            const std::string& id) {
  auto found = result.refs.find(id);
  if (found != result.refs.end()) return &found->second;
  return result.refs.empty() ? &result.ref : nullptr;
}

bool HasSbom(const frontend::Result& result) {
  for (const auto& [id, attestations] : result.attestations) {
    for (const frontend::Attestation& attestation : attestations) {
      if (attestation.in_toto_predicate_type == worker::kSpdxPredicate) return true;
    }
  }
  return false;
}

}  // namespace

StatusOr<ResultCaptures> CaptureResult(const frontend::Result& result) {
  std::vector<std::pair<std::string, Platform>> platforms;
  if (result.metadata.contains("refs.platforms")) {
    ASSIGN_OR_RETURN(auto parsed, worker::ParsePlatforms(result.metadata));
    for (const auto& platform : parsed) platforms.emplace_back(platform.id, platform.platform);
  }
  std::set<const void*> all = AllOf(result);
  ResultCaptures captures;
  auto add = [&](const std::string& id, const frontend::ReferencePtr& reference) -> Status {
    if (reference == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(auto capture, Solved(reference).scope()->Assemble(reference.get(), id, all,
                                                                       platforms));
    if (capture) captures[id] = *std::move(capture);
    return OkStatus();
  };
  RETURN_IF_ERROR(add("", result.ref));
  for (const auto& [id, reference] : result.refs) RETURN_IF_ERROR(add(id, reference));
  return captures;
}

StatusOr<std::function<StatusOr<std::string>()>> PredicateMaker(
    const BuildContextPtr& build, const PredicateOptions& options, const Capture& capture,
    const frontend::ReferencePtr& reference) {
  PredicateOptions own = options;
  own.dockerfile_version = build->services->dockerfile_version;
  own.custom_env = build->services->provenance_env;
  ASSIGN_OR_RETURN(auto predicate, Predicate::Make(own, capture, reference->definition()));
  return std::function<StatusOr<std::string>()>([=]() -> StatusOr<std::string> {
    RunFacts run{.invocation_id = build->unique_id,
                 .started = build->started,
                 .finished = build->Finished(),
                 .compatibility_version = build->request.compatibility_version,
                 .layers = {}};
    if (own.usage && build->machine != nullptr) {
      run.machine_usage = worker::exec::MachineJson(build->machine->Samples());
    }
    if (own.max) RETURN_IF_ERROR(AddLayers(*build, *predicate, reference, &run));
    return predicate->Json(run);
  });
}

StatusOr<Attestations> Attestations::Parse(const frontend::StringMap& opts) {
  frontend::StringMap wanted;
  for (const auto& [key, value] : opts) {
    for (std::string_view prefix : {"attest:", "build-arg:BUILDKIT_ATTEST_"}) {
      if (key.starts_with(prefix)) wanted[ToLower(key.substr(prefix.size()))] = value;
    }
  }
  Attestations out;
  for (const auto& [kind, value] : wanted) {
    ASSIGN_OR_RETURN(frontend::StringMap attrs, ParseAttrs(kind, value));
    if (kind == "sbom") {
      out.sbom_ = std::move(attrs);
    } else if (kind == "provenance") {
      out.provenance_ = std::move(attrs);
    } else {
      return UnknownError(StrCat("unknown attestation type ", Quote(kind)));
    }
  }
  if (out.sbom_) {
    std::string generator = (*out.sbom_)["generator"];
    if (generator.empty()) return UnknownError("sbom generator cannot be empty");
    StatusOr<oci::Reference> ref = oci::ParseReference(generator);
    if (!ref.ok()) {
      return Annotate(ref.status(), StrCat("failed to parse sbom generator ", generator));
    }
    out.sbom_generator_ = oci::WithDefaultTag(*ref).Text();
    out.sbom_->erase("generator");
  }
  if (out.provenance_) {
    frontend::StringMap version = {{"version", (*out.provenance_)["version"]}};
    RETURN_IF_ERROR(ParsePredicateOptions(version).status());
  }
  auto no_cache = opts.find("no-cache");
  out.no_cache_ = no_cache != opts.end() && no_cache->second.empty();
  auto mode = opts.find("image-resolve-mode");
  out.resolve_mode_ = mode == opts.end() ? "default" : mode->second;
  return out;
}

std::string Attestations::builder_id() const {
  if (!provenance_) return "";
  auto id = provenance_->find("builder-id");
  return id == provenance_->end() ? "" : id->second;
}

Status Attestations::AddSboms(BuildBridge& bridge, frontend::Result* result,
                              std::stop_token stop) const {
  if (!sbom_ || HasSbom(*result)) return OkStatus();
  ASSIGN_OR_RETURN(auto platforms, worker::ParsePlatforms(result->metadata));
  frontend::ResolveRequest request;
  request.platform = NormalizePlatform(DefaultPlatform());
  request.resolve_mode = resolve_mode_;
  pb::SourceOp source;
  source.set_identifier(StrCat("docker-image://", sbom_generator_));
  ASSIGN_OR_RETURN(frontend::SourceMeta meta, bridge.ResolveSourceMeta(source, request, stop));
  ASSIGN_OR_RETURN(frontend::Scanner scanner,
                   frontend::MakeScanner(sbom_generator_, *request.platform, meta.image_config,
                                         *sbom_));
  for (const worker::ExportPlatform& platform : platforms) {
    const frontend::ReferencePtr* reference = FindReference(*result, platform.id);
    if (reference == nullptr) return UnknownError(StrCat("could not find ref ", platform.id));
    if (*reference == nullptr || (*reference)->definition() == nullptr) continue;
    ASSIGN_OR_RETURN(llb::State core, llb::FromDefinition(*(*reference)->definition()));
    ASSIGN_OR_RETURN(frontend::Attestation scanned,
                     frontend::Scan(bridge, scanner, {platform.id, core, {}, no_cache_}, stop));
    result->attestations[platform.id].push_back(std::move(scanned));
  }
  return OkStatus();
}

Status Attestations::AddProvenance(const BuildContextPtr& build, const frontend::Result& result,
                                   const ResultCaptures& captures,
                                   worker::ExportSource* source) const {
  if (!provenance_) return OkStatus();
  ASSIGN_OR_RETURN(auto platforms, worker::ParsePlatforms(result.metadata));
  auto attr = [&](const char* key, std::string other) {
    auto entry = provenance_->find(key);
    return entry == provenance_->end() ? other : entry->second;
  };
  bool inline_only = false;
  if (!ParseBool(attr("inline-only", ""), &inline_only)) inline_only = false;
  for (const worker::ExportPlatform& platform : platforms) {
    const frontend::ReferencePtr* reference = FindReference(result, platform.id);
    if (reference == nullptr) {
      return UnknownError(StrCat("no build info found for provenance ", platform.id));
    }
    auto capture = captures.find(result.refs.empty() ? "" : platform.id);
    if (*reference == nullptr || capture == captures.end()) continue;
    ASSIGN_OR_RETURN(PredicateOptions options, ParsePredicateOptions(*provenance_));
    worker::ExportAttestation attestation;
    attestation.kind = kInToto;
    attestation.metadata = {{"reason", "provenance"},
                            {"inline-only", inline_only ? "true" : "false"}};
    attestation.in_toto_predicate_type = PredicateType(options.slsa02);
    attestation.path = attr("filename", "provenance.json");
    ASSIGN_OR_RETURN(attestation.content,
                     PredicateMaker(build, options, capture->second, *reference));
    source->attestations[platform.id].push_back(std::move(attestation));
  }
  return OkStatus();
}

}  // namespace kiln::control
