// Follows what images in the wild rely on: environment, labels, capabilities.
#include "frontend/gateway/gateway_frontend.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "frontend/dockerfile/ui/client.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"
#include "llb/state.h"
#include "oci/image_config.h"
#include "oci/reference.h"

namespace kiln::frontend::gateway {
namespace {

using Caps = std::set<std::string, std::less<>>;

constexpr char kDevel[] = "gateway-devel";
constexpr char kSource[] = "source";
constexpr char kBuiltIn[] = "dockerfile.v0";
constexpr char kInputsCap[] = "moby.buildkit.frontend.inputs";
constexpr char kCapsLabel[] = "moby.buildkit.frontend.caps";
constexpr char kNoNetworkLabel[] = "moby.buildkit.frontend.network.none";
constexpr char kFrontendCapUrl[] = "github.com/moby/buildkit/errdefs.FrontendCap+json";

// Releases of docker/dockerfile that take inputs and do not say so in a label.
constexpr std::string_view kTakesInputs[] = {
    "sha256:9ac1c43a60e31dca741a6fe8314130a9cd4c4db0311fbbc636ff992ef60ae76d",
    "sha256:080bd74d8778f83e7b670de193362d8c593c8b14f5c8fb919d28ee8feda0d069",
    "sha256:60543a9d92b92af5088fb2938fb09b2072684af8384399e153e137fe081f8ab4",
    "sha256:de85b2f3a3e8a2f7fe48e8e84a65f6fdd5cd5183afa6412fff9caa6871649c44"};

// The image as far as it matters here.
struct FrontendImage {
  llb::State state;
  oci::ImageConfig config;
  Digest digest;
};

// "a,b+experimental" to {a, b}.
Caps ParseCaps(std::string_view text) {
  Caps caps;
  for (std::string_view cap : StrSplit(text, ',')) {
    std::string_view name = cap.substr(0, cap.find('+'));
    if (!name.empty()) caps.emplace(name);
  }
  return caps;
}

std::string Find(const StringMap& map, const std::string& key) {
  auto entry = map.find(key);
  return entry == map.end() ? "" : entry->second;
}

Status CheckCaps(const FrontendImage& image, const StringMap& opts, bool has_inputs) {
  Caps has = ParseCaps(Find(image.config.labels, kCapsLabel));
  for (std::string_view digest : kTakesInputs) {
    if (image.digest.text() == digest) has.emplace(kInputsCap);
  }
  Caps wanted = ParseCaps(Find(opts, "frontend.caps"));
  if (has_inputs) wanted.emplace(kInputsCap);
  for (const std::string& cap : wanted) {
    if (has.contains(cap)) continue;
    Status status = UnimplementedError(StrCat("unsupported frontend capability ", cap));
    // errdefs.FrontendCap{name = 1}
    if (cap.size() < 128) {
      status.AddDetail(kFrontendCapUrl, std::string{'\x0a', static_cast<char>(cap.size())} + cap);
    }
    return status;
  }
  return OkStatus();
}

FrontendProcess ProcessOf(const FrontendImage& image, const BuildOpts& build) {
  FrontendProcess process;
  process.args = image.config.entrypoint;
  if (process.args.empty()) process.args = {"/run"};
  process.env = image.config.env;
  if (!image.config.working_dir.empty()) process.cwd = image.config.working_dir;
  int i = 0;
  for (const auto& [key, value] : build.opts) {
    process.env.push_back(StrCat("BUILDKIT_FRONTEND_OPT_", i++, "=", key, "=", value));
  }
  process.env.push_back(StrCat("BUILDKIT_SESSION_ID=", build.session_id));
  bool none = false;
  if (ParseBool(Find(image.config.labels, kNoNetworkLabel), &none)) process.no_network = none;
  return process;
}

class GatewayFrontend : public Frontend {
 public:
  explicit GatewayFrontend(GatewayOptions options) : options_(std::move(options)) {}

  StatusOr<Result> Solve(Bridge& bridge, std::stop_token stop) override {
    const BuildOpts& build = bridge.build_opts();
    if (build.opts.contains(kDevel)) {
      return UnknownError("development gateway is no longer supported");
    }
    auto source = build.opts.find(kSource);
    if (source == build.opts.end()) return UnknownError("no source specified for gateway");
    RETURN_IF_ERROR(CheckAllowed(source->second));
    if (IsBuiltIn(source->second)) return SolveBuiltIn(bridge, source->second, stop);
    ASSIGN_OR_RETURN(FrontendImage image, Load(bridge, source->second, stop));
    ASSIGN_OR_RETURN(auto definition, image.state.Marshal());
    SolveRequest request;
    request.definition = std::move(definition);
    ASSIGN_OR_RETURN(Result root, bridge.Solve(request, stop));
    if (root.ref == nullptr) {
      return UnknownError("gateway source didn't return default result");
    }
    RETURN_IF_ERROR(root.ref->Evaluate());
    FrontendProcess process = ProcessOf(image, build);
    process.root = root.ref;
    process.definition = request.definition;
    ASSIGN_OR_RETURN(auto inputs, bridge.Inputs());
    RETURN_IF_ERROR(CheckCaps(image, build.opts, !inputs.empty()));
    return options_.run(bridge, process, stop);
  }

 private:
  Status CheckAllowed(const std::string& source) const {
    if (options_.allowed_repositories.empty()) return OkStatus();
    ASSIGN_OR_RETURN(oci::Reference reference, oci::ParseReference(source));
    const auto& allowed = options_.allowed_repositories;
    if (std::find(allowed.begin(), allowed.end(), reference.Name()) != allowed.end()) {
      return OkStatus();
    }
    return UnknownError(StrCat("'", source, "' is not an allowed gateway source"));
  }

  bool IsBuiltIn(const std::string& source) const {
    if (options_.built_in.empty()) return false;
    auto reference = oci::ParseReference(source);
    if (!reference.ok()) return false;
    for (const std::string& pattern : options_.built_in) {
      for (const std::string& name : {reference->Familiar(), reference->Text()}) {
        if (fnmatch(pattern.c_str(), name.c_str(), 0) == 0) return true;
      }
    }
    return false;
  }

  // "cmdline" stays in the options: it keeps the frontend from forwarding once more.
  StatusOr<Result> SolveBuiltIn(Bridge& bridge, const std::string& source, std::stop_token stop) {
    log::Info(StrCat("frontend ", source, " is answered by the built-in ", kBuiltIn));
    SolveRequest request;
    request.frontend = kBuiltIn;
    request.frontend_opts = bridge.build_opts().opts;
    request.frontend_opts.erase(kSource);
    request.frontend_opts.try_emplace("cmdline", source);
    ASSIGN_OR_RETURN(request.frontend_inputs, bridge.Inputs());
    return bridge.Solve(request, stop);
  }

  StatusOr<FrontendImage> Load(Bridge& bridge, const std::string& source, std::stop_token stop) {
    ASSIGN_OR_RETURN(auto client, dockerfile::Client::Make(bridge, stop));
    ASSIGN_OR_RETURN(std::optional<std::string> named,
                     client->FindNamedContext(source, std::nullopt));
    if (named) {
      ASSIGN_OR_RETURN(dockerfile::LoadedContext loaded, client->LoadNamedContext(*named, {}));
      FrontendImage image{loaded.state, {}, {}};
      if (loaded.image) image.config = loaded.image->config;
      return image;
    }
    ASSIGN_OR_RETURN(oci::Reference reference, oci::ParseReference(source));
    const std::string name = oci::WithDefaultTag(reference).Text();
    ASSIGN_OR_RETURN(dockerfile::ResolvedImage resolved, client->images().Resolve(name, {}));
    if (!resolved.moved_to.empty()) return dockerfile::MovedError(name, resolved);
    ASSIGN_OR_RETURN(reference, oci::ParseReference(resolved.reference));
    if (!resolved.digest.empty()) reference.digest = resolved.digest;
    ASSIGN_OR_RETURN(oci::Image parsed, oci::ParseImage(resolved.config));
    llb::ImageOptions options;
    options.record_type = "frontend";
    return FrontendImage{llb::Image(reference.Text(), std::move(options)),
                         std::move(parsed.config), resolved.digest};
  }

  GatewayOptions options_;
};

}  // namespace

StatusOr<std::unique_ptr<Frontend>> NewFrontend(GatewayOptions options) {
  for (std::string& repository : options.allowed_repositories) {
    ASSIGN_OR_RETURN(oci::Reference reference, oci::ParseReference(repository));
    repository = reference.Name();
  }
  return std::unique_ptr<Frontend>(std::make_unique<GatewayFrontend>(std::move(options)));
}

}  // namespace kiln::frontend::gateway
