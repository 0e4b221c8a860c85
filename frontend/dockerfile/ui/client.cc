// Settings, Dockerfile, main context and its ignore file. Named contexts are in
// named_context.cc.
#include "frontend/dockerfile/ui/client.h"

#include "base/file.h"
#include "base/pattern.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"

namespace kiln::dockerfile {
namespace {

constexpr char kDockerignore[] = ".dockerignore";

Status ValidateMinimum(const frontend::BuildOpts& build) {
  if (build.supports_llb_cap && !build.supports_llb_cap(llb::kCapFileBase)) {
    return UnknownError("needs BuildKit 0.5 or later: capability file.base is not supported");
  }
  auto copy_image = build.opts.find("override-copy-image");
  if (copy_image != build.opts.end() && !copy_image->second.empty()) {
    return UnknownError("support for \"override-copy-image\" was removed in BuildKit 0.11");
  }
  auto file_op = build.opts.find("build-arg:BUILDKIT_DISABLE_FILEOP");
  bool disabled = false;
  if (file_op != build.opts.end() && ParseBool(file_op->second, &disabled) && disabled) {
    return UnknownError(
        "support for \"BUILDKIT_DISABLE_FILEOP\" build-arg was removed in BuildKit 0.11");
  }
  return OkStatus();
}

// docker/foo/dockerfile for docker/foo/Dockerfile: spelt so on some file systems.
std::string LowerCaseName(const std::string& filename) {
  return JoinPath(DirName(filename), "dockerfile");
}

std::string CleanJoin(const std::string& dir, const std::string& name) {
  return kiln::CleanPath(dir + "/" + name);
}

}  // namespace

StatusOr<std::unique_ptr<Client>> Client::Make(frontend::Bridge& bridge, std::stop_token stop) {
  RETURN_IF_ERROR(ValidateMinimum(bridge.build_opts()));
  std::unique_ptr<Client> client(new Client(bridge, stop));
  ASSIGN_OR_RETURN(client->config_, ParseConfig(&client->opts_, bridge.build_opts().workers));
  return client;
}

std::string Client::SessionFor(const std::string& local_name) const {
  auto found = opts_.find("local-sessionid:" + local_name);
  return found == opts_.end() ? session_id() : found->second;
}

StatusOr<BuildContext> Client::Context() {
  std::lock_guard lock(mutex_);
  if (!context_) {
    ASSIGN_OR_RETURN(context_, InitContext(bridge_, opts_, stop_));
  }
  return *context_;
}

StatusOr<frontend::ReferencePtr> Client::SolveState(const llb::State& state, bool evaluate,
                                                    llb::DefinitionPtr* definition) {
  ASSIGN_OR_RETURN(llb::DefinitionPtr marshalled, state.Marshal());
  if (definition != nullptr) *definition = marshalled;
  frontend::SolveRequest request;
  request.definition = std::move(marshalled);
  request.evaluate = evaluate;
  ASSIGN_OR_RETURN(frontend::Result result, bridge_.Solve(request, stop_));
  if (result.ref == nullptr) return UnknownError("solve returned no result");
  return std::move(result.ref);
}

StatusOr<std::shared_ptr<const llb::SourceMap>> Client::ReadEntrypoint() {
  ASSIGN_OR_RETURN(const BuildContext context, Context());
  const bool default_name = BaseName(context.filename) == "Dockerfile";
  llb::State source;
  if (!context.force_local_dockerfile && context.dockerfile) {
    source = *context.dockerfile;
  } else {
    llb::LocalOptions options;
    options.follow_paths = {context.filename, context.filename + kDockerignore};
    if (default_name) {
      options.follow_paths.push_back(CleanJoin(DirName(context.filename), "dockerfile"));
    }
    options.session_id = SessionFor(context.dockerfile_local);
    options.shared_key_hint = context.dockerfile_local;
    options.differ = "none";
    options.constraints.Named(InternalName("load build definition from " + context.filename));
    source = llb::Local(context.dockerfile_local, std::move(options));
  }
  auto map = std::make_shared<llb::SourceMap>();
  StatusOr<frontend::ReferencePtr> ref = SolveState(source, false, &map->definition);
  if (!ref.ok()) return Annotate(ref.status(), "failed to resolve dockerfile");
  StatusOr<std::string> text = (*ref)->ReadFile(context.filename, {});
  if (!text.ok() && default_name) {
    StatusOr<std::string> other = (*ref)->ReadFile(LowerCaseName(context.filename), {});
    if (other.ok()) text = std::move(other);
  }
  if (!text.ok()) return Annotate(text.status(), "failed to read dockerfile");
  map->filename = context.filename;
  map->language = "Dockerfile";
  map->data = *std::move(text);
  StatusOr<std::string> ignore = (*ref)->ReadFile(context.filename + kDockerignore, {});
  std::lock_guard lock(mutex_);
  if (ignore.ok()) {
    dockerignore_ = *std::move(ignore);
    dockerignore_name_ = context.filename + kDockerignore;
  }
  source_map_ = map;
  return std::shared_ptr<const llb::SourceMap>(map);
}

void Client::Warn(frontend::Warning warning) {
  // Each warning carries the whole file: of a huge one with very many warnings only
  // the first do.
  constexpr size_t kMaxShownBytes = 64 << 20;
  pb::SourceInfo info;
  info.set_filename(source_map_->filename);
  info.set_language(source_map_->language);
  *info.mutable_definition() = *source_map_->definition;
  if (shown_bytes_.fetch_add(source_map_->data.size()) < kMaxShownBytes) {
    info.set_data(source_map_->data);
  }
  warning.vertex = Digest::Trusted(llb::HeadOf(*source_map_->definition));
  if (warning.level == 0) warning.level = 1;
  warning.source_info = info.SerializeAsString();
  bridge_.Warn(warning);
}

StatusOr<llb::State> Client::MainContext(const std::vector<std::string>& follow_paths) {
  ASSIGN_OR_RETURN(const BuildContext context, Context());
  if (context.context) return *context.context;
  StatusOr<std::vector<std::string>> excludes = LocalIgnorePatterns(context);
  if (!excludes.ok()) return Annotate(excludes.status(), "failed to read dockerignore patterns");
  llb::LocalOptions options;
  options.session_id = SessionFor(context.context_local);
  options.exclude_patterns = *std::move(excludes);
  options.shared_key_hint = context.context_local;
  options.follow_paths = follow_paths;
  options.constraints.Named(InternalName("load build context"));
  return llb::Local(context.context_local, std::move(options));
}

StatusOr<std::vector<std::string>> Client::DockerIgnorePatterns() {
  ASSIGN_OR_RETURN(const BuildContext context, Context());
  if (context.context) return std::vector<std::string>();
  return LocalIgnorePatterns(context);
}

StatusOr<std::vector<std::string>> Client::LocalIgnorePatterns(const BuildContext& context) {
  std::lock_guard lock(mutex_);
  if (!dockerignore_) {
    llb::LocalOptions options;
    options.session_id = SessionFor(context.context_local);
    options.follow_paths = {kDockerignore};
    options.shared_key_hint = StrCat(context.context_local, "-", kDockerignore);
    options.differ = "none";
    options.constraints.Named(InternalName(StrCat("load ", kDockerignore)));
    ASSIGN_OR_RETURN(const frontend::ReferencePtr ref,
                     SolveState(llb::Local(context.context_local, std::move(options)), false));
    // A file that cannot be read is one that is not there.
    dockerignore_ = ref->ReadFile(kDockerignore, {}).value_or("");
    dockerignore_name_ = kDockerignore;
  }
  return ReadIgnoreFile(*dockerignore_);
}

bool Client::IsNoCache(std::string_view stage) const {
  if (!config_.no_cache) return false;
  if (config_.no_cache->empty()) return true;
  for (const std::string& name : *config_.no_cache) {
    if (ToLower(name) == ToLower(stage)) return true;
  }
  return false;
}

}  // namespace kiln::dockerfile
