// Base images: what FROM names, from a registry or a named context, and the
// triggers that images carry.
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "base/suggest.h"
#include "frontend/dockerfile/convert/converter.h"
#include "frontend/dockerfile/convert/os_path.h"
#include "frontend/dockerfile/convert/validate.h"
#include "llb/source.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

oci::Image EmptyImage(const Platform& platform) {
  oci::Image image;
  image.platform = platform;
  image.rootfs_type = "layers";
  image.config.working_dir = "/";
  if (platform.os != "windows") {
    image.config.env = {"PATH=" + DefaultPathEnv(platform.os)};
  }
  return image;
}

// Names that are often mistyped.
std::vector<std::string> CommonImageNames() {
  std::vector<std::string> names;
  for (const char* name :
       {"alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"}) {
    const std::string full = StrCat("docker.io/library", name);
    for (const std::string& text :
         {std::string(name), full, StrCat(name, ":latest"), full + ":latest"}) {
      names.push_back(text);
    }
  }
  return names;
}

// The platform of an image that only exists for another one than was asked for.
Platform DetectPlatform(const oci::Image& image, const Platform& wanted,
                        const std::vector<Platform>& supported) {
  auto same = [&](const Platform& platform) {
    return platform.os == image.platform.os &&
           platform.architecture == image.platform.architecture;
  };
  if (same(wanted)) return wanted;
  for (const Platform& platform : supported) {
    if (same(platform)) return platform;
  }
  return wanted;
}

bool HasNoLayers(const oci::Image& image) {
  if (image.diff_ids && !image.diff_ids->empty()) return false;
  for (const oci::History& entry : image.history) {
    if (!entry.empty_layer) return false;
  }
  return true;
}

}  // namespace

StatusOr<std::optional<std::string>> Converter::NamedContext(
    const std::string& name, const std::optional<Platform>& platform) {
  const std::string lower = ToLower(name);
  if (lower == "scratch" || lower == "context") return std::optional<std::string>();
  return options_.client->FindNamedContext(name, platform ? platform : options_.target_platform);
}

ImageQuery Converter::QueryFor(const Platform& platform, const std::string& name) const {
  ImageQuery query;
  query.platform = platform;
  query.resolve_mode = llb::ResolveModeText(config_.resolve_mode);
  const std::string prefix = config_.multi_platform ? FormatPlatformAll(platform) + " " : "";
  query.log_name = StrCat("[", prefix, "internal] load metadata for ", name);
  return query;
}

Status Converter::ResolveStages(StageState* target) {
  bool changed = true;
  while (changed) {
    changed = false;
    const std::set<StageState*> reachable = ReachableStages(target);
    RETURN_IF_ERROR(ResolveBases(reachable));
    // Triggers may add stages, and those need base images again.
    for (size_t i = 0; i < table_.stages().size(); ++i) {
      StageState* stage = table_.stages()[i];
      if (!reachable.contains(stage)) continue;
      stage->Inherit();
      StatusOr<bool> added = AddTriggers(stage);
      if (!added.ok()) return SetLocation(added.status(), stage->stage.location);
      changed = changed || *added;
    }
  }
  return OkStatus();
}

Status Converter::ResolveBases(const std::set<StageState*>& reachable) {
  std::vector<StageState*> pending;
  for (StageState* stage : table_.stages()) {
    if (stage->base != nullptr || stage->dispatched || stage->resolved) continue;
    stage->resolved = options_.all_stages || reachable.contains(stage);
    if (stage->stage.base_name != "scratch" || stage->named_context) {
      pending.push_back(stage);
      continue;
    }
    stage->state = llb::State();
    stage->image = EmptyImage(target_platform_);
    stage->platform = target_platform_;
    if (stage->unregistered) stage->dispatched = true;
  }
  PrefetchImages(pending);
  // Of several mistakes the reference, which starts all at once, mostly meets the last
  // stage's first.
  if (!pending.empty()) std::rotate(pending.begin(), pending.end() - 1, pending.end());
  for (StageState* stage : pending) {
    const bool needed = stage->resolved;
    Status status = ResolveBase(stage, needed);
    if (stage->unregistered) stage->dispatched = true;
    if (!status.ok()) return WithLocation(status, stage->stage.location);
  }
  return OkStatus();
}

void Converter::PrefetchImages(const std::vector<StageState*>& stages) {
  std::map<std::string, ImageQuery> wanted;
  for (const StageState* stage : stages) {
    if (!stage->resolved || stage->named_context) continue;
    StatusOr<oci::Reference> reference = oci::ParseReference(stage->stage.base_name);
    if (!reference.ok()) continue;
    const Platform platform = stage->platform.value_or(target_platform_);
    const std::string name = oci::WithDefaultTag(*reference).Text();
    StatusOr<std::optional<std::string>> context = NamedContext(name, platform);
    if (!context.ok() || *context) continue;
    wanted.emplace(StrCat(name, " ", FormatPlatformAll(platform)), QueryFor(platform, name));
  }
  // The answers are kept by the resolver; alone, one question gains nothing.
  constexpr size_t kMaxThreads = 16;
  if (wanted.size() < 2) return;
  std::vector<std::jthread> threads;
  for (const auto& [key, query] : wanted) {
    if (threads.size() == kMaxThreads) break;
    threads.emplace_back([this, name = key.substr(0, key.find(' ')), query = query] {
      options_.client->images().Resolve(name, query).IgnoreError();
    });
  }
}

Status Converter::ResolveBase(StageState* stage, bool reachable) {
  const std::string original = stage->stage.base_name;
  StatusOr<oci::Reference> reference = oci::ParseReference(original);
  if (!reference.ok()) {
    return Annotate(reference.status(), StrCat("failed to parse stage name ", Quote(original)));
  }
  Platform platform = stage->platform.value_or(target_platform_);
  stage->stage.base_name = oci::WithDefaultTag(*reference).Text();
  bool scratch = false;
  if (reachable) {
    if (stage->named_context) return LoadNamedStage(stage);
    ASSIGN_OR_RETURN(const std::optional<std::string> key,
                     NamedContext(stage->stage.base_name, platform));
    if (key) return LoadBaseContext(stage, *key, platform);
    ASSIGN_OR_RETURN(scratch, ResolveImage(stage, original, &platform));
  }
  stage->state = llb::State();
  if (!scratch) {
    llb::ImageOptions options;
    options.resolve_mode = config_.resolve_mode;
    options.constraints.description["com.docker.dockerfile.v1.command"] = stage->stage.code;
    options.constraints.platform = platform;
    options.constraints.Named(
        PrefixCommand(stage, "FROM " + stage->stage.base_name, platform, nullptr));
    options.constraints.locations = LocationsIn(options_.source_map, stage->stage.location);
    stage->state = llb::Image(stage->stage.base_name, std::move(options));
    if (reachable) {
      ReportBaseImagePlatform(original, platform, stage->image.platform, stage->stage.location,
                              lint_.get());
    }
  }
  stage->platform = platform;
  return OkStatus();
}

StatusOr<bool> Converter::ResolveImage(StageState* stage, const std::string& original,
                                       Platform* platform) {
  const std::string& name = stage->stage.base_name;
  StatusOr<ResolvedImage> resolved =
      options_.client->images().Resolve(name, QueryFor(*platform, name));
  if (resolved.ok() && !resolved->moved_to.empty()) resolved = MovedError(name, *resolved);
  if (!resolved.ok()) {
    std::vector<std::string> options = table_.Names();
    for (std::string& common : CommonImageNames()) options.push_back(std::move(common));
    return WithSuggestion(Annotate(resolved.status(), original), original, options, true);
  }
  StatusOr<oci::Reference> reference = oci::ParseReference(resolved->reference);
  if (!reference.ok()) {
    return Annotate(reference.status(),
                    StrCat("failed to parse ref ", Quote(resolved->reference)));
  }
  StatusOr<oci::Image> image = oci::ParseImage(resolved->config);
  if (!image.ok()) return Annotate(image.status(), "failed to parse image config");
  stage->base_image = *image;
  image->created.clear();
  if (!stage->platform && implicit_target_) {
    *platform = DetectPlatform(*image, *platform, config_.build_platforms);
  }
  if (!resolved->digest.empty()) reference->digest = resolved->digest;
  stage->stage.base_name = reference->Text();
  stage->image = *std::move(image);
  return HasNoLayers(stage->image);
}

Status Converter::LoadNamedStage(StageState* stage) {
  ContextOptions options;
  options.platform = stage->platform ? stage->platform : options_.target_platform;
  options.resolve_mode = llb::ResolveModeText(config_.resolve_mode);
  options.follow_paths = [paths = stage->paths] { return FollowPathsOf(*paths); };
  ASSIGN_OR_RETURN(LoadedContext loaded,
                   options_.client->LoadNamedContext(*stage->named_context, options));
  stage->dispatched = true;
  stage->state = std::move(loaded.state);
  if (!loaded.image) return OkStatus();
  loaded.image->created.clear();
  stage->image = *std::move(loaded.image);
  const Platform& platform = stage->image.platform;
  if (!platform.architecture.empty() && !platform.os.empty()) stage->platform = platform;
  return OkStatus();
}

Status Converter::LoadBaseContext(StageState* stage, const std::string& key,
                                  const Platform& platform) {
  ContextOptions options;
  options.platform = platform;
  options.resolve_mode = llb::ResolveModeText(config_.resolve_mode);
  options.follow_paths = [paths = stage->paths] { return FollowPathsOf(*paths); };
  ASSIGN_OR_RETURN(LoadedContext loaded, options_.client->LoadNamedContext(key, options));
  stage->image = loaded.image ? *std::move(loaded.image) : EmptyImage(platform);
  stage->base_image = stage->image;
  stage->image.created.clear();
  stage->state = std::move(loaded.state);
  stage->state.SetPlatform(platform);
  stage->platform = platform;
  return OkStatus();
}

StatusOr<bool> Converter::AddTriggers(StageState* stage) {
  std::vector<std::string> triggers = stage->image.config.on_build;
  if (stage->base != nullptr && !stage->on_build_init) {
    for (const StageCommand& command : stage->base->commands) {
      if (const auto* on_build = std::get_if<OnbuildCommand>(&command.command)) {
        triggers.push_back(on_build->expression);
      }
    }
    stage->on_build_init = true;
  }
  stage->image.config.on_build.clear();
  bool added = false;
  std::vector<StageCommand> commands;
  for (const std::string& trigger : triggers) {
    ASSIGN_OR_RETURN(const ParseResult parsed, kiln::dockerfile::Parse(trigger));
    if (parsed.nodes.size() != 1) {
      return UnknownError("onbuild trigger should be a single expression");
    }
    Node node = parsed.nodes[0];
    const std::vector<Range>& place = stage->stage.location;
    node.start_line = place.empty() ? 0 : place.front().start.line;
    node.end_line = place.empty() ? 0 : place.back().end.line;
    ASSIGN_OR_RETURN(const Command command, ParseCommand(node));
    ASSIGN_OR_RETURN(StageCommand linked, ToStageCommand(command));
    linked.on_build = true;
    for (StageState* source : linked.sources) {
      added = true;
      stage->AddDep(source, BaseOf(command).location);
      if (source->unregistered) table_.Add(source);
    }
    commands.push_back(std::move(linked));
  }
  stage->cmd_total += static_cast<int>(commands.size());
  stage->commands.insert(stage->commands.begin(), std::make_move_iterator(commands.begin()),
                         std::make_move_iterator(commands.end()));
  return added;
}

}  // namespace kiln::dockerfile
