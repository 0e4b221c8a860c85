// Documents byte for byte as the reference's Go structures are written.
#include "control/provenance/predicate.h"

#include "base/go_json.h"
#include "base/strings.h"
#include "base/url.h"
#include "control/provenance/build_steps.h"
#include "llb/op_json.h"
#include "llb/proto/ops.pb.h"
#include "llb/wire_field.h"
#include "oci/manifest.h"
#include "oci/purl.h"

namespace kiln::control {
namespace {

constexpr std::string_view kBuildType1 =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
constexpr std::string_view kBuildType02 = "https://mobyproject.org/buildkit@v1";

constexpr std::string_view kIncompleteUrl =
    "github.com/moby/buildkit/errdefs.ProvenanceMaterialsIncomplete+json";

std::string MapJson(const std::map<std::string, std::string>& map) {
  GoJsonObject out;
  for (const auto& [key, value] : map) out.String(key, value);
  return out.Finish();
}

void OmitMap(std::string_view key, const std::map<std::string, std::string>& map,
             GoJsonObject* out) {
  if (!map.empty()) out->Raw(key, MapJson(map));
}

// Objects joined to an array; left out if there are none.
void OmitList(std::string_view key, const std::vector<std::string>& items, GoJsonObject* out) {
  if (!items.empty()) out->Raw(key, StrCat("[", StrJoin(items, ","), "]"));
}

std::vector<std::string> NamesJson(const std::vector<NameUse>& names) {
  std::vector<std::string> out;
  for (const NameUse& name : names) {
    GoJsonObject item;
    item.String("id", name.id);
    item.OmitBool("optional", name.optional);
    out.push_back(item.Finish());
  }
  return out;
}

std::string ConfigJson(const ConfigSource& config, std::string_view path_key) {
  GoJsonObject out;
  out.OmitString("uri", config.uri);
  OmitMap("digest", config.digest, &out);
  out.OmitString(path_key, config.path);
  return out.Finish();
}

std::string ParametersJson(const Parameters& parameters);

std::string RequestJson(const RequestUse& use) {
  GoJsonObject out;
  out.Raw("configSource", ConfigJson(use.config, "path"));
  out.Raw("request", ParametersJson(use.request));
  return out.Finish();
}

std::string ParametersJson(const Parameters& parameters) {
  GoJsonObject out;
  out.OmitString("frontend", parameters.frontend);
  OmitMap("args", parameters.args, &out);
  OmitList("secrets", NamesJson(parameters.secrets), &out);
  OmitList("ssh", NamesJson(parameters.ssh), &out);
  std::vector<std::string> locals;
  for (const std::string& name : parameters.locals) {
    locals.push_back(StrCat("{\"name\":", GoJsonString(name), "}"));
  }
  OmitList("locals", locals, &out);
  if (!parameters.inputs.empty()) {
    GoJsonObject inputs;
    for (const auto& [name, use] : parameters.inputs) {
      inputs.Raw(name, use == nullptr ? "null" : RequestJson(*use));
    }
    out.Raw("inputs", inputs.Finish());
  }
  if (parameters.root != nullptr) out.Raw("root", RequestJson(*parameters.root));
  out.OmitInt("compatibilityVersion", parameters.compatibility_version);
  return out.Finish();
}

std::string Material(const std::string& uri, const std::map<std::string, std::string>& digest) {
  GoJsonObject out;
  out.OmitString("uri", uri);
  OmitMap("digest", digest, &out);
  return out.Finish();
}

std::map<std::string, std::string> DigestSet(const Digest& digest) {
  if (digest.empty()) return {};
  return {{std::string(digest.algorithm()), std::string(digest.hex())}};
}

std::map<std::string, std::string> CommitSet(const std::string& commit) {
  return {{commit.size() == 64 ? "sha256" : "sha1", commit}};
}

// The bundle that a repository came from; nothing if the locator makes no sense.
StatusOr<std::string> BundleMaterial(const GitUse& git) {
  std::string_view scheme, body, ref;
  size_t at = git.bundle.rfind('@');
  if (!StrCut(git.bundle, "://", &scheme, &body) || at == std::string::npos) return std::string();
  ref = body.substr(0, body.rfind('@'));
  ASSIGN_OR_RETURN(std::string uri,
                   oci::PackageUrl(scheme == "oci-layout+blob" ? "oci" : "docker", ref, {},
                                   {{"ref_type", "bundle"}, {"vcs_url", git.url}}));
  return Material(uri, DigestSet(Digest::Trusted(git.bundle.substr(at + 1))));
}

StatusOr<std::string> MaterialsJson(const Sources& sources) {
  std::vector<std::string> items;
  for (const ImageUse& image : sources.images) {
    ASSIGN_OR_RETURN(std::string uri, oci::PackageUrl(image.local ? "oci" : "docker", image.ref,
                                                      image.platform));
    items.push_back(Material(uri, DigestSet(image.digest)));
  }
  for (const BlobUse& blob : sources.blobs) {
    ASSIGN_OR_RETURN(std::string uri, oci::PackageUrl(blob.local ? "oci" : "docker", blob.ref, {},
                                                      {{"ref_type", "blob"}}));
    items.push_back(Material(uri, DigestSet(blob.digest)));
  }
  for (const GitUse& git : sources.git) {
    items.push_back(Material(git.url, CommitSet(git.commit)));
    if (git.bundle.empty()) continue;
    ASSIGN_OR_RETURN(std::string bundle, BundleMaterial(git));
    if (!bundle.empty()) items.push_back(std::move(bundle));
  }
  for (const HttpUse& http : sources.http) {
    items.push_back(Material(http.url, DigestSet(http.digest)));
  }
  return items.empty() ? std::string() : StrCat("[", StrJoin(items, ","), "]");
}

// What mode=min hides. True if something was said that is missing now.
bool Scrub(Parameters* request) {
  bool incomplete = false;
  for (auto arg = request->args.begin(); arg != request->args.end();) {
    bool hidden = arg->first.starts_with("build-arg:") || arg->first.starts_with("label:");
    incomplete = incomplete || hidden;
    arg = hidden ? request->args.erase(arg) : std::next(arg);
  }
  request->secrets.clear();
  request->ssh.clear();
  auto scrub_shared = [&](RequestUsePtr& shared) {
    if (shared == nullptr) return;
    auto copy = std::make_shared<RequestUse>(*shared);
    incomplete = Scrub(&copy->request) || incomplete;
    shared = std::move(copy);
  };
  for (auto& [name, input] : request->inputs) scrub_shared(input);
  scrub_shared(request->root);
  return incomplete;
}

// errdefs.ProvenanceMaterialIncomplete: op 1, name 2, method 3, uri 4, final_uri 5, reason 6.
std::string GapDetail(const ProxyGapUse& gap) {
  std::string bytes;
  const std::pair<int, const std::string*> fields[] = {
      {1, &gap.op}, {2, &gap.name}, {3, &gap.method}, {4, &gap.uri}, {6, &gap.reason}};
  for (const auto& [number, text] : fields) {
    if (!text->empty()) llb::AppendWireField(&bytes, number, *text);
  }
  return bytes;
}

std::string GapText(const ProxyGapUse& gap) {
  const std::string& title = !gap.name.empty() ? gap.name : !gap.op.empty() ? gap.op : gap.uri;
  std::string text = StrCat("\n  - ", title);
  const std::pair<std::string_view, const std::string*> lines[] = {
      {"method", &gap.method}, {"url", &gap.uri}, {"reason", &gap.reason}};
  for (const auto& [key, value] : lines) {
    if (!value->empty()) text += StrCat("\n    ", key, ": ", *value);
  }
  return text;
}

Status IncompleteMaterials(const Capture& capture) {
  std::string text =
      "provenance materials are incomplete\n\n"
      "The build requested complete provenance materials, but not all dependencies could be "
      "captured.";
  std::string details;
  auto add = [&](const ProxyGapUse& gap) {
    llb::AppendWireField(&details, 1, GapDetail(gap));
  };
  if (!capture.sources.locals.empty()) text += "\n\nUncaptured local sources:";
  for (const std::string& name : capture.sources.locals) {
    text += StrCat("\n  - ", name.empty() ? "<unnamed>" : name, "\n    reason: local_source");
    add({.op = {}, .name = name, .method = {}, .uri = {}, .reason = "local_source"});
  }
  if (!capture.proxy_gaps.empty()) text += "\n\nUncaptured requests:";
  for (const ProxyGapUse& gap : capture.proxy_gaps) {
    text += GapText(gap);
    add(gap);
  }
  Status refused = UnknownError(text);
  refused.AddDetail(kIncompleteUrl, std::move(details));
  return refused;
}

std::string SourceInfoJson(const pb::SourceInfo& info, const BuildSteps& steps) {
  GoJsonObject out;
  out.OmitString("filename", info.filename());
  out.OmitString("language", info.language());
  out.OmitString("data", Base64Encode(info.data()));
  if (!steps.json.empty()) {
    out.Raw("llbDefinition", steps.json);
    out.Raw("digestMapping", steps.DigestMapping());
  }
  return out.Finish();
}

StatusOr<std::string> SourceJson(const pb::Source& source, const std::map<std::string, int>& steps) {
  if (source.infos_size() == 0) return std::string();
  std::vector<std::string> infos;
  for (const pb::SourceInfo& info : source.infos()) {
    ASSIGN_OR_RETURN(BuildSteps own, MakeBuildSteps(info.definition()));
    infos.push_back(SourceInfoJson(info, own));
  }
  std::map<std::string, std::string> locations;
  for (const auto& [digest, places] : source.locations()) {
    auto step = steps.find(digest);
    if (step != steps.end()) locations[StrCat("step", step->second)] = llb::OpJson(places);
  }
  GoJsonObject out;
  if (!locations.empty()) {
    GoJsonObject by_step;
    for (const auto& [step, places] : locations) by_step.Raw(step, places);
    out.Raw("locations", by_step.Finish());
  }
  OmitList("infos", infos, &out);
  return out.Finish();
}

std::string LayersJson(
    const std::map<std::string, std::vector<std::vector<oci::Descriptor>>>& layers) {
  GoJsonObject out;
  for (const auto& [step, chains] : layers) {
    std::vector<std::string> lists;
    for (const auto& chain : chains) {
      std::vector<std::string> items;
      for (const oci::Descriptor& layer : chain) items.push_back(oci::DescriptorJson(layer));
      lists.push_back(StrCat("[", StrJoin(items, ","), "]"));
    }
    out.Raw(step, StrCat("[", StrJoin(lists, ","), "]"));
  }
  return out.Finish();
}

std::string NetworkJson(const std::vector<ProxyGapUse>& gaps) {
  std::vector<std::string> items;
  for (const ProxyGapUse& gap : gaps) {
    GoJsonObject item;
    item.OmitString("op", gap.op);
    item.OmitString("name", gap.name);
    item.OmitString("method", gap.method);
    item.OmitString("uri", gap.uri);
    item.OmitString("reason", gap.reason);
    items.push_back(item.Finish());
  }
  GoJsonObject out, proxy;
  out.String("mode", "proxy");
  OmitList("incomplete", items, &proxy);
  if (!items.empty()) out.Raw("proxy", proxy.Finish());
  return out.Finish();
}

}  // namespace

std::string PredicateType(bool slsa02) {
  return slsa02 ? "https://slsa.dev/provenance/v0.2" : "https://slsa.dev/provenance/v1";
}

StatusOr<PredicateOptions> ParsePredicateOptions(const std::map<std::string, std::string>& attrs) {
  PredicateOptions options;
  auto flag = [&](const std::string& key, bool* value) -> Status {
    auto entry = attrs.find(key);
    if (entry == attrs.end() || ParseBool(entry->second, value)) return OkStatus();
    return UnknownError(StrCat("failed to parse ", key, " flag ", Quote(entry->second),
                               ": strconv.ParseBool: parsing ", Quote(entry->second),
                               ": invalid syntax"));
  };
  if (auto version = attrs.find("version"); version != attrs.end()) {
    if (version->second.empty()) return UnknownError("provenance SLSA version cannot be empty");
    if (version->second != "v1" && version->second != "v0.2") {
      return UnknownError(StrCat("invalid provenance SLSA version: ", version->second));
    }
    options.slsa02 = version->second == "v0.2";
  }
  RETURN_IF_ERROR(flag("reproducible", &options.reproducible));
  if (auto mode = attrs.find("mode"); mode != attrs.end()) {
    options.max = mode->second != "min";
    if (options.max && mode->second != "max" && mode->second != "full") {
      return UnknownError(StrCat("invalid mode ", Quote(mode->second)));
    }
  }
  RETURN_IF_ERROR(flag("complete-materials", &options.complete_materials));
  auto usage = attrs.find("capture-usage");
  options.usage = usage != attrs.end() && ParseBool(usage->second, &options.usage) && options.usage;
  if (auto id = attrs.find("builder-id"); id != attrs.end()) options.builder_id = id->second;
  return options;
}

StatusOr<std::shared_ptr<const Predicate>> Predicate::Make(
    const PredicateOptions& options, const Capture& capture,
    std::shared_ptr<const pb::Definition> definition) {
  auto made = std::make_shared<Predicate>();
  made->options_ = options;
  made->capture_ = capture;
  ASSIGN_OR_RETURN(made->materials_, MaterialsJson(capture.sources));
  RequestUse use =
      MakeRequestUse(capture.request.frontend, capture.request.args, capture.sources);
  made->config_ = std::move(use.config);
  made->request_ = capture.request;
  made->request_.args = std::move(use.request.args);
  made->request_.locals.insert(made->request_.locals.end(), capture.sources.locals.begin(),
                               capture.sources.locals.end());
  auto& args = made->request_.args;
  for (auto arg = args.begin(); arg != args.end();) {
    if (!arg->first.starts_with("vcs:")) {
      ++arg;
      continue;
    }
    std::string name = arg->first.substr(4);
    std::string value = name == "source" ? RedactUrl(arg->second) : arg->second;
    if (!value.empty()) made->vcs_[name] = std::move(value);
    arg = args.erase(arg);
  }
  made->request_complete_ = !capture.request.frontend.empty();
  made->materials_complete_ = !capture.incomplete_materials && capture.sources.locals.empty();
  if (options.complete_materials && !made->materials_complete_) return IncompleteMaterials(capture);
  if (!options.max) {
    if (Scrub(&made->request_)) made->request_complete_ = false;
  } else if (definition != nullptr) {
    static const std::map<std::string, std::string> kNoUsage;
    ASSIGN_OR_RETURN(BuildSteps steps, MakeBuildSteps(*definition, options.usage ? capture.usage : kNoUsage));
    GoJsonObject config;
    if (!steps.json.empty()) {
      config.Raw("llbDefinition", steps.json);
      config.Raw("digestMapping", steps.DigestMapping());
    }
    made->build_config_ = config.Finish();
    if (definition->has_source()) {
      ASSIGN_OR_RETURN(made->source_, SourceJson(definition->source(), steps.index));
    }
    made->steps_ = std::move(steps.index);
  }
  return std::shared_ptr<const Predicate>(std::move(made));
}

int Predicate::StepOf(const std::string& digest) const {
  auto step = steps_.find(digest);
  return step == steps_.end() ? -1 : step->second;
}

std::string Predicate::Metadata(const RunFacts& run) const {
  GoJsonObject out;
  OmitMap("vcs", vcs_, &out);
  if (!source_.empty()) out.Raw("source", source_);
  if (!run.layers.empty()) out.Raw("layers", LayersJson(run.layers));
  if (!run.machine_usage.empty()) out.Raw("sysUsage", run.machine_usage);
  if (capture_.proxy_network) out.Raw("network", NetworkJson(capture_.proxy_gaps));
  return out.Finish();
}

// The parameters that are the daemon's own, with its custom facts, sorted.
StatusOr<std::string> Predicate::Internal() const {
  GoJsonObject out;
  if (!options_.slsa02 && !build_config_.empty()) out.Raw("buildConfig", build_config_);
  out.String(options_.slsa02 ? "platform" : "builderPlatform",
             FormatPlatform(NormalizePlatform(DefaultPlatform())));
  if (request_.frontend == "dockerfile.v0") {
    out.OmitString("dockerfileVersion", options_.dockerfile_version);
  }
  std::string text = out.Finish();
  if (options_.custom_env.size() > 2) {
    text.back() = ',';
    text += options_.custom_env.substr(1);
  }
  return GoJsonSorted(text);
}

std::string Predicate::Slsa1(const RunFacts& run, const std::string& internal) const {
  Parameters request = request_;
  request.compatibility_version = run.compatibility_version;
  GoJsonObject external, definition, builder, completeness, metadata, details, out;
  external.Raw("configSource", ConfigJson(config_, "path"));
  external.Raw("request", ParametersJson(request));
  definition.String("buildType", kBuildType1);
  if (!materials_.empty()) definition.Raw("resolvedDependencies", materials_);
  definition.Raw("externalParameters", external.Finish());
  definition.Raw("internalParameters", internal);
  builder.String("id", options_.builder_id);
  completeness.Bool("request", request_complete_);
  completeness.Bool("resolvedDependencies", materials_complete_);
  metadata.OmitString("invocationId", run.invocation_id);
  metadata.String("startedOn", FormatRfc3339Nano(run.started));
  metadata.String("finishedOn", FormatRfc3339Nano(run.finished));
  metadata.Raw("buildkit_metadata", Metadata(run));
  metadata.OmitBool("buildkit_hermetic", materials_complete_ && !capture_.network_access);
  metadata.Raw("buildkit_completeness", completeness.Finish());
  metadata.OmitBool("buildkit_reproducible", options_.reproducible);
  details.Raw("builder", builder.Finish());
  details.Raw("metadata", metadata.Finish());
  out.Raw("buildDefinition", definition.Finish());
  out.Raw("runDetails", details.Finish());
  return out.Finish();
}

StatusOr<std::string> Predicate::Slsa02(const RunFacts& run) const {
  ASSIGN_OR_RETURN(std::string environment, Internal());
  Parameters request = request_;
  request.compatibility_version = run.compatibility_version;
  GoJsonObject builder, invocation, completeness, metadata, out;
  builder.String("id", options_.builder_id);
  invocation.Raw("configSource", ConfigJson(config_, "entryPoint"));
  invocation.Raw("parameters", ParametersJson(request));
  invocation.Raw("environment", environment);
  completeness.Bool("parameters", request_complete_);
  completeness.Bool("environment", true);
  completeness.Bool("materials", materials_complete_);
  metadata.OmitString("buildInvocationID", run.invocation_id);
  metadata.String("buildStartedOn", FormatRfc3339Nano(run.started));
  metadata.String("buildFinishedOn", FormatRfc3339Nano(run.finished));
  metadata.Raw("completeness", completeness.Finish());
  metadata.Bool("reproducible", options_.reproducible);
  metadata.Raw(StrCat(kBuildType02, "#metadata"), Metadata(run));
  metadata.OmitBool(StrCat(kBuildType02, "#hermetic"),
                    materials_complete_ && !capture_.network_access);
  out.Raw("builder", builder.Finish());
  out.String("buildType", kBuildType02);
  if (!materials_.empty()) out.Raw("materials", materials_);
  out.Raw("invocation", invocation.Finish());
  if (!build_config_.empty()) out.Raw("buildConfig", build_config_);
  out.Raw("metadata", metadata.Finish());
  return out.Finish();
}

StatusOr<std::string> Predicate::Json(const RunFacts& run) const {
  if (options_.slsa02) return Slsa02(run);
  ASSIGN_OR_RETURN(std::string internal, Internal());
  return Slsa1(run, internal);
}

}  // namespace kiln::control
