// The stand-in for the daemon is frontend/dockerfile/offline.
#include "cmd/dockerfile2llb/compile.h"

#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "frontend/dockerfile/build/dockerfile_frontend.h"
#include "frontend/dockerfile/offline/offline_bridge.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"
#include "llb/state.h"

namespace kiln::dockerfile2llb {
namespace {

std::string OptionOr(const Settings& settings, const char* key, const char* other) {
  auto found = settings.opts.find(key);
  return found == settings.opts.end() ? other : found->second;
}

dockerfile::FileLookup FilesOf(const std::string& text, const Settings& settings) {
  const std::string filename = OptionOr(settings, "filename", "Dockerfile");
  const std::string local_name = OptionOr(settings, "dockerfilekey", "dockerfile");
  return [=, locals = settings.locals](const std::string& local,
                                       const std::string& file) -> StatusOr<std::string> {
    const bool source = local.empty() || local == local_name;
    if (source && (file == filename || file == "context")) return text;
    auto dir = locals.find(local);
    if (dir == locals.end()) {
      return NotFoundError(StrCat("open ", file, ": no such file or directory"));
    }
    return ReadFile(JoinPath(dir->second, file));
  };
}

// Results of several platforms are shown one after the other.
std::vector<std::pair<std::string, frontend::ReferencePtr>> RefsOf(const frontend::Result& result) {
  std::vector<std::pair<std::string, frontend::ReferencePtr>> refs;
  if (result.single) refs.emplace_back("", result.ref);
  for (const auto& [id, ref] : result.refs) refs.emplace_back(id, ref);
  return refs;
}

std::string ConfigOf(const frontend::Result& result, const std::string& id) {
  auto found = result.metadata.find("containerimage.config" + (id.empty() ? "" : "/" + id));
  return found == result.metadata.end() ? "" : found->second;
}

frontend::DefinitionPtr DefinitionOf(const frontend::ReferencePtr& ref) {
  frontend::DefinitionPtr definition = ref == nullptr ? nullptr : ref->definition();
  return definition == nullptr ? std::make_shared<const pb::Definition>() : definition;
}

}  // namespace

Compiled Compile(const std::string& file, const Settings& settings) {
  Compiled compiled;
  StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) {
    compiled.status = text.status();
    return compiled;
  }
  frontend::BuildOpts opts;
  opts.opts = settings.opts;
  opts.session_id = settings.session;
  opts.workers = {{"offline", {}, settings.worker_platforms}};
  dockerfile::OfflineBridge bridge(std::move(opts), settings.images, FilesOf(*text, settings));
  StatusOr<frontend::Result> result = dockerfile::NewFrontend()->Solve(bridge, {});
  compiled.warnings = bridge.warnings();
  if (result.ok()) {
    compiled.result = *std::move(result);
  } else {
    compiled.status = result.status();
  }
  return compiled;
}

std::string JsonLine(const std::string& file, const Compiled& compiled) {
  GoJsonObject line;
  line.String("file", file);
  if (!compiled.status.ok()) {
    line.String("error", compiled.status.message());
    return line.Finish();
  }
  const auto refs = RefsOf(compiled.result);
  const frontend::DefinitionPtr definition =
      DefinitionOf(refs.empty() ? nullptr : refs[0].second);
  const std::string config = refs.empty() ? "" : ConfigOf(compiled.result, refs[0].first);
  line.String("head", llb::HeadOf(*definition));
  line.String("definitionSHA256",
              Digest::Of(dockerfile::StableDefinition(*definition)).hex());
  line.String("imageSHA256", Digest::Of(config).hex());
  std::vector<std::string> warnings;
  for (const frontend::Warning& warning : compiled.warnings) {
    warnings.push_back(warning.short_text);
  }
  line.Raw("warnings", GoJsonArray(warnings));
  return line.Finish();
}

std::string Report(const std::string& file, const Compiled& compiled) {
  std::string text = StrCat("# ", file, "\n");
  for (const frontend::Warning& warning : compiled.warnings) {
    text += StrCat("warning: ", warning.short_text, "\n");
  }
  if (!compiled.status.ok()) return StrCat(text, "error: ", compiled.status.message(), "\n");
  for (const auto& [id, ref] : RefsOf(compiled.result)) {
    const frontend::DefinitionPtr definition = DefinitionOf(ref);
    if (!id.empty()) text += StrCat("platform: ", id, "\n");
    text += StrCat("head: ", llb::HeadOf(*definition), "\n");
    for (const std::string& bytes : definition->def()) {
      pb::Op op;
      if (!op.ParseFromString(bytes)) continue;
      text += StrCat("op ", Digest::Of(bytes).text(), ": ", op.ShortDebugString(), "\n");
    }
    text += StrCat("image: ", ConfigOf(compiled.result, id), "\n");
  }
  return text;
}

}  // namespace kiln::dockerfile2llb
