// One build: read the Dockerfile, perhaps hand the build to another frontend, answer
// a subrequest, or compile and solve each platform.
#include "frontend/dockerfile/build/dockerfile_frontend.h"

#include <atomic>
#include <thread>

#include "base/go_json.h"
#include "base/strings.h"
#include "frontend/dockerfile/build/sbom.h"
#include "frontend/dockerfile/build/source_error.h"
#include "frontend/dockerfile/build/subrequest.h"
#include "frontend/dockerfile/convert/convert.h"
#include "frontend/dockerfile/parser.h"
#include "llb/proto/ops.pb.h"

namespace kiln::dockerfile {
namespace {

using frontend::Bridge;
using frontend::Result;

constexpr char kSyntaxArg[] = "build-arg:BUILDKIT_SYNTAX";
constexpr char kFrontendCapUrl[] = "github.com/moby/buildkit/errdefs.FrontendCap+json";

// Capabilities that a client needs of the frontend. `*forward`: another frontend
// behind a syntax directive may have what is missing here.
Status CheckCaps(const frontend::StringMap& opts, bool* forward) {
  static constexpr std::string_view kKnown[] = {
      "moby.buildkit.frontend.inputs", "moby.buildkit.frontend.subrequests",
      "moby.buildkit.frontend.contexts", "moby.buildkit.frontend.gitquerystring"};
  auto wanted = opts.find("frontend.caps");
  if (wanted == opts.end() || wanted->second.empty()) return OkStatus();
  Status missing;
  for (std::string_view cap : StrSplit(wanted->second, ',')) {
    const std::string_view name = StrSplitN(cap, '+', 2)[0];
    bool known = false;
    for (std::string_view candidate : kKnown) known = known || candidate == name;
    if (known) continue;
    missing = UnimplementedError(StrCat("unsupported frontend capability ", name));
    missing.AddDetail(kFrontendCapUrl, StringField(1, name));
    if (!Contains(cap, "+forward")) {
      *forward = false;
      return missing;
    }
    *forward = true;
  }
  return missing;
}

class Build {
 public:
  Build(Bridge& bridge, std::stop_token stop, Channel channel)
      : bridge_(bridge), stop_(stop), channel_(channel) {}

  StatusOr<Result> Run() {
    ASSIGN_OR_RETURN(client_, Client::Make(bridge_, stop_));
    bool may_forward = false;
    const Status caps = CheckCaps(client_->opts(), &may_forward);
    if (!may_forward) RETURN_IF_ERROR(caps);
    ASSIGN_OR_RETURN(source_, client_->ReadEntrypoint());
    bool forwarded = false;
    StatusOr<Result> result = Forward(&forwarded);
    if (forwarded) return result;
    RETURN_IF_ERROR(caps);
    if (client_->opts().contains("requestid")) return AnswerSubrequest(*client_, Options());
    StatusOr<Result> built = BuildAll();
    if (!built.ok()) return WithSources(built.status(), *source_);
    return built;
  }

 private:
  ConvertOptions Options() {
    ConvertOptions options;
    options.client = client_.get();
    options.source_map = source_;
    options.labs = channel_ == Channel::kLabs;
    options.warn = [this](const LintRule& rule, const std::string& message,
                          const std::vector<Range>& location) {
      Warn(rule, message, location);
    };
    return options;
  }

  void Warn(const LintRule& rule, const std::string& message, const std::vector<Range>& location) {
    frontend::Warning warning;
    const int line = location.empty() ? 0 : location[0].start.line;
    warning.level = 1;
    warning.short_text = LintFormatShort(rule.name, message, line);
    warning.detail = {std::string(rule.description)};
    warning.url = rule.url;
    for (const Range& range : location) {
      warning.ranges.push_back(
          {range.start.line, range.start.character, range.end.line, range.end.character});
    }
    client_->Warn(std::move(warning));
  }

  // Another frontend, named by a build argument or in the file, takes over.
  StatusOr<Result> Forward(bool* forwarded) {
    const frontend::StringMap& opts = client_->opts();
    if (opts.contains("cmdline")) return Result();
    Directive syntax;
    auto argument = opts.find(kSyntaxArg);
    if (argument != opts.end()) {
      *forwarded = true;
      const std::string& text = argument->second;
      StatusOr<Result> result =
          SolveElsewhere(std::string(StrSplitN(TrimSpace(text), ' ', 2)[0]), text);
      if (result.ok() || HasSource(result.status())) return result;
      return Annotate(result.status(), StrCat("failed with ", kSyntaxArg, " = ", text));
    }
    if (!DetectSyntax(source_->data, &syntax)) return Result();
    *forwarded = true;
    StatusOr<Result> result = SolveElsewhere(syntax.value, syntax.full);
    if (result.ok() || HasSource(result.status())) return result;
    return WithSource(result.status(), *source_, syntax.location);
  }

  StatusOr<Result> SolveElsewhere(const std::string& image, const std::string& cmdline) {
    frontend::SolveRequest request;
    request.frontend = "gateway.v0";
    request.frontend_opts = client_->opts();
    request.frontend_opts["cmdline"] = cmdline;
    request.frontend_opts["source"] = image;
    const auto& caps = bridge_.build_opts().supports_gateway_cap;
    if (!caps || caps("frontend.inputs")) {
      auto inputs = bridge_.Inputs();
      if (!inputs.ok()) return Annotate(inputs.status(), "failed to get frontend inputs");
      request.frontend_inputs = *std::move(inputs);
    }
    return bridge_.Solve(request, stop_);
  }

  StatusOr<Result> BuildAll() {
    const Config& config = client_->config();
    std::optional<SbomScanner> scanner;
    if (config.sbom) {
      ASSIGN_OR_RETURN(scanner, SbomScanner::Make(*client_, *config.sbom));
    }
    Result result;
    result.single = !config.multi_platform;
    std::vector<std::optional<Platform>> platforms(config.target_platforms.begin(),
                                                   config.target_platforms.end());
    if (platforms.empty()) platforms.emplace_back();
    std::string listed;
    std::vector<std::pair<std::string, ConvertResult>> targets;
    std::vector<StatusOr<ConvertResult>> all = ConvertAll(platforms);
    for (size_t i = 0; i < platforms.size(); ++i) {
      ASSIGN_OR_RETURN(ConvertResult converted, std::move(all[i]));
      const Platform platform = NormalizePlatform(platforms[i].value_or(DefaultPlatform()));
      const std::string id = FormatPlatformAll(platform);
      RETURN_IF_ERROR(AddPlatform(converted, id, &result));
      if (!listed.empty()) listed += ',';
      listed += ExportedPlatform(id, platform, converted.image.platform);
      targets.emplace_back(id, std::move(converted));
    }
    result.metadata["refs.platforms"] = StrCat("{\"Platforms\":[", listed, "]}");
    if (!scanner) return result;
    for (const auto& [id, target] : targets) {
      ASSIGN_OR_RETURN(frontend::Attestation attestation, scanner->Scan(id, target));
      result.attestations[id].push_back(std::move(attestation));
    }
    return result;
  }

  // Side by side: most of the time goes into asking registries.
  std::vector<StatusOr<ConvertResult>> ConvertAll(
      const std::vector<std::optional<Platform>>& platforms) {
    std::vector<StatusOr<ConvertResult>> all(platforms.size(), InternalError("not converted"));
    std::atomic<size_t> next = 0;
    auto work = [&] {
      for (size_t i = 0; (i = next.fetch_add(1)) < platforms.size();) {
        ConvertOptions options = Options();
        options.target_platform = platforms[i];
        // Findings are the same for each platform.
        if (i != 0) options.warn = nullptr;
        all[i] = Convert(options);
      }
    };
    constexpr size_t kMaxThreads = 16;
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < std::min(platforms.size(), kMaxThreads); ++i) threads.emplace_back(work);
    work();
    threads.clear();
    return all;
  }

  Status AddPlatform(const ConvertResult& converted, const std::string& id, Result* result) {
    StatusOr<llb::DefinitionPtr> definition = converted.state.Marshal(converted.marshal);
    if (!definition.ok()) {
      return Annotate(definition.status(), "failed to marshal LLB definition");
    }
    frontend::SolveRequest request;
    request.definition = *definition;
    request.cache_imports = client_->config().cache_imports;
    ASSIGN_OR_RETURN(const Result solved, bridge_.Solve(request, stop_));
    const std::string suffix = result->single ? "" : "/" + id;
    if (result->single) {
      result->ref = solved.ref;
    } else {
      result->refs[id] = solved.ref;
    }
    frontend::StringMap& metadata = result->metadata;
    metadata["containerimage.config" + suffix] = oci::ImageJson(converted.image);
    if (converted.base_image) {
      metadata["containerimage.base.config" + suffix] = oci::ImageJson(*converted.base_image);
    }
    if (converted.epoch) {
      metadata["source.date.epoch" + suffix] = StrCat(converted.epoch->seconds());
    }
    return OkStatus();
  }

  static std::string ExportedPlatform(const std::string& id, Platform platform,
                                      const Platform& image) {
    // Windows images are picked by version, which only the base image knows.
    if (platform.os == "windows" && image.os == "windows") {
      if (platform.os_version.empty()) platform.os_version = image.os_version;
      if (platform.os_features.empty()) platform.os_features = image.os_features;
      platform = NormalizePlatform(platform);
    }
    GoJsonObject object;
    object.String("ID", id);
    object.Raw("Platform", oci::PlatformJson(platform));
    return object.Finish();
  }

  Bridge& bridge_;
  std::stop_token stop_;
  Channel channel_;
  std::unique_ptr<Client> client_;
  std::shared_ptr<const llb::SourceMap> source_;
};

class DockerfileFrontend : public frontend::Frontend {
 public:
  explicit DockerfileFrontend(Channel channel) : channel_(channel) {}
  StatusOr<Result> Solve(Bridge& bridge, std::stop_token stop) override {
    StatusOr<Result> result = Build(bridge, stop, channel_).Run();
    if (!result.ok() && stop.stop_requested()) return CancelledError("context canceled");
    if (!result.ok()) return WithoutLocations(result.status());
    return result;
  }

 private:
  Channel channel_;
};

}  // namespace

std::unique_ptr<frontend::Frontend> NewFrontend(Channel channel) {
  return std::make_unique<DockerfileFrontend>(channel);
}

}  // namespace kiln::dockerfile
