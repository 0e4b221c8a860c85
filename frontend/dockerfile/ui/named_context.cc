// Named contexts: "context:NAME" attributes of every kind.
#include <nlohmann/json.hpp>

#include "base/pattern.h"
#include "base/strings.h"
#include "frontend/dockerfile/ui/client.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

constexpr int kMaxDepth = 10;  // of contexts that policies point at others
constexpr char kDockerignore[] = ".dockerignore";

std::string Label(const std::string& key, std::string_view text) {
  return StrCat("[context ", key, "] ", text);
}

// The key without its platform: what the user wrote.
std::string_view NameOf(std::string_view key) { return key.substr(0, key.find("::")); }

StatusOr<LoadedContext> WithConfig(const llb::State& state, const std::string& config,
                                   bool keep_created) {
  LoadedContext loaded;
  ASSIGN_OR_RETURN(oci::Image image, oci::ParseImage(config));
  if (!keep_created) image.created.clear();
  ASSIGN_OR_RETURN(loaded.state, state.WithImageConfig(config));
  loaded.image = std::move(image);
  return loaded;
}

}  // namespace

StatusOr<std::optional<std::string>> Client::FindNamedContext(
    const std::string& name, const std::optional<Platform>& platform) {
  StatusOr<oci::Reference> named = oci::ParseReference(name);
  if (!named.ok()) return Annotate(named.status(), StrCat("invalid context name ", name));
  const std::string key(TrimSuffix(named->Familiar(), ":latest"));
  const std::string with_platform = StrCat(
      key, "::", FormatPlatformAll(NormalizePlatform(platform ? *platform : DefaultPlatform())));
  std::optional<std::string> found;
  std::lock_guard lock(mutex_);
  for (const std::string& candidate : {with_platform, key}) {
    if (!found && opts_.contains("context:" + candidate)) found = candidate;
  }
  return found;
}

StatusOr<LoadedContext> Client::LoadNamedContext(const std::string& key,
                                                 const ContextOptions& options) {
  std::string input;
  {
    std::lock_guard lock(mutex_);
    input = opts_["context:" + key];
  }
  return LoadInput(key, input, options, 0);
}

StatusOr<LoadedContext> Client::LoadInput(const std::string& key, const std::string& input,
                                          const ContextOptions& options, int depth) {
  if (depth > kMaxDepth) {
    return UnknownError(StrCat("context recursion limit exceeded; this may indicate a cycle in "
                               "the provided source policies: ",
                               input));
  }
  std::string_view scheme, rest;
  if (!StrCut(input, ":", &scheme, &rest)) {
    return UnknownError(StrCat("invalid context specifier ", input, " for ", key));
  }
  if (scheme.starts_with("git@")) scheme = "git";
  if (scheme == "docker-image") {
    return LoadImage(key, std::string(TrimPrefix(rest, "//")), options, depth);
  }
  if (scheme == "git" || scheme == "http" || scheme == "https") {
    bool is_git = false;
    StatusOr<llb::State> state = GitContext(input, std::nullopt, false, &is_git);
    if (is_git && !state.ok()) return state.status();
    if (is_git) return LoadedContext{*state, {}};
    if (scheme == "git") return UnknownError(StrCat("invalid git context ", input));
    llb::HttpOptions http;
    http.filename = "context";
    http.constraints.Named(Label(key, input));
    return LoadedContext{llb::Http(input, std::move(http)), {}};
  }
  if (scheme == "oci-layout") return LoadOciLayout(key, TrimPrefix(rest, "//"), options);
  if (scheme == "local") return LoadLocal(key, std::string(rest), options);
  if (scheme == "input") return LoadFrontendInput(key, std::string(rest));
  return UnknownError(StrCat("unsupported context source ", scheme, " for ", key));
}

StatusOr<LoadedContext> Client::LoadImage(const std::string& key, std::string reference,
                                          const ContextOptions& options, int depth) {
  if (reference == "scratch") return LoadedContext();
  llb::ImageOptions image_options;
  image_options.constraints.Named(Label(key, reference));
  image_options.constraints.platform = options.platform;
  ASSIGN_OR_RETURN(const oci::Reference named, oci::ParseReference(reference));
  ImageQuery query;
  query.platform = options.platform;
  query.resolve_mode = options.resolve_mode;
  query.log_name = Label(key, "load metadata for " + reference);
  const std::string full = oci::WithDefaultTag(named).Text();
  ASSIGN_OR_RETURN(const ResolvedImage resolved, images_.Resolve(full, query));
  if (!resolved.moved_to.empty()) {
    std::string_view before, after;
    if (!StrCut(resolved.moved_to, "://", &before, &after)) {
      return UnknownError(StrCat("could not parse ref: ", resolved.moved_to));
    }
    return LoadInput(key, StrCat(before, ":", after), options, depth + 1);
  }
  ASSIGN_OR_RETURN(const oci::Reference final_name, oci::ParseReference(resolved.reference));
  const llb::State state =
      llb::Image(oci::WithDefaultTag(final_name).Text(), std::move(image_options));
  return WithConfig(state, resolved.config, false);
}

StatusOr<LoadedContext> Client::LoadOciLayout(const std::string& key, std::string_view reference,
                                              const ContextOptions& options) {
  // Unlike elsewhere the name is not normalised: it is the id of a store.
  std::string_view name, digest_text;
  const bool digested = StrCut(reference, "@", &name, &digest_text);
  StatusOr<oci::Reference> checked = oci::ParseReference(name);
  if (!checked.ok()) {
    return Annotate(checked.status(),
                    StrCat("could not parse oci-layout reference ", Quote(reference)));
  }
  if (!digested) {
    return UnknownError(StrCat("oci-layout reference ", Quote(reference), " has no digest"));
  }
  StatusOr<Digest> digest = Digest::Parse(digest_text);
  if (!digest.ok()) {
    return Annotate(digest.status(),
                    StrCat("could not parse oci-layout reference ", Quote(reference)));
  }
  const std::string store(StrSplitN(name, ':', 2)[0]);
  StatusOr<oci::Reference> shown = oci::ParseReference(NameOf(key));
  if (!shown.ok()) {
    return Annotate(shown.status(),
                    StrCat("could not parse oci-layout reference ", Quote(NameOf(key))));
  }
  shown->digest = *digest;
  ImageQuery query;
  query.platform = options.platform;
  query.log_name = Label(key, "load metadata for " + shown->Text());
  query.oci_session = session_id();
  query.oci_store = store;
  ASSIGN_OR_RETURN(const ResolvedImage resolved, images_.Resolve(shown->Text(), query));
  if (!resolved.moved_to.empty()) return MovedError(shown->Text(), resolved);
  llb::OciLayoutOptions layout;
  layout.session_id = session_id();
  layout.store_id = store;
  layout.constraints.Named(Label(key, "OCI load from client"));
  layout.constraints.platform = options.platform;
  StatusOr<LoadedContext> loaded =
      WithConfig(llb::OciLayout(shown->Text(), std::move(layout)), resolved.config, true);
  if (!loaded.ok()) return Annotate(loaded.status(), "could not parse oci-layout image config");
  return loaded;
}

StatusOr<LoadedContext> Client::LoadLocal(const std::string& key, const std::string& name,
                                          const ContextOptions& options) {
  llb::LocalOptions probe;
  probe.session_id = SessionFor(name);
  probe.follow_paths = {kDockerignore};
  probe.shared_key_hint = StrCat("context:", key, "-", kDockerignore);
  probe.differ = "none";
  probe.constraints.Named(Label(key, StrCat("load ", kDockerignore)));
  ASSIGN_OR_RETURN(const frontend::ReferencePtr ref,
                   SolveState(llb::Local(name, std::move(probe)), true));
  llb::LocalOptions local;
  local.exclude_patterns = ReadIgnoreFile(ref->ReadFile(kDockerignore, {}).value_or(""));
  local.session_id = SessionFor(name);
  auto shared_key = opts_.find("sharedkey:localdir:" + key);
  local.shared_key_hint =
      StrCat("context:", key, "-", shared_key == opts_.end() ? "" : shared_key->second);
  local.constraints.Named(Label(key, "load from client"));
  // Which paths are used is known only when all stages are done.
  return LoadedContext{llb::Deferred([name, local, follow = options.follow_paths]() mutable {
                         if (follow) local.follow_paths = follow();
                         return llb::Local(name, local).output();
                       }),
                       {}};
}

StatusOr<LoadedContext> Client::LoadFrontendInput(const std::string& key,
                                                  const std::string& name) {
  using Inputs = std::map<std::string, frontend::DefinitionPtr>;
  ASSIGN_OR_RETURN(const Inputs inputs, bridge_.Inputs());
  auto found = inputs.find(name);
  if (found == inputs.end()) {
    return UnknownError(StrCat("invalid input ", name, " for ", key));
  }
  ASSIGN_OR_RETURN(const llb::State state, llb::FromDefinition(*found->second));
  auto metadata = opts_.find("input-metadata:" + name);
  if (metadata == opts_.end()) return LoadedContext{state, {}};
  const nlohmann::json parsed = nlohmann::json::parse(metadata->second, nullptr, false);
  if (!parsed.is_object()) {
    return UnknownError(StrCat("failed to parse input metadata ", metadata->second));
  }
  auto config = parsed.find("containerimage.config");
  if (config == parsed.end() || !config->is_string()) return LoadedContext{state, {}};
  std::string bytes;
  if (!Base64Decode(config->get<std::string>(), &bytes)) {
    return UnknownError(StrCat("failed to parse input metadata ", metadata->second));
  }
  return WithConfig(state, bytes, true);
}

}  // namespace kiln::dockerfile
