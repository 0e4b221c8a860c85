// Git first, then http, then inputs of the request; else it is a local directory.
#include "frontend/dockerfile/ui/context.h"

#include "base/strings.h"
#include "llb/file_action.h"
#include "llb/git_ref.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"

namespace kiln::dockerfile {
namespace {

constexpr char kHttpFilename[] = "context";

const std::string* Find(const frontend::StringMap& opts, const std::string& key) {
  auto found = opts.find(key);
  return found == opts.end() ? nullptr : &found->second;
}

// The header checksum of tar is all that tells an archive without compression.
bool IsTarHeader(std::string_view bytes) {
  if (bytes.size() < 512) return false;
  int64_t sum = 0;
  bool any = false;
  for (size_t i = 0; i < 512; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    any = any || byte != 0;
    sum += i >= 148 && i < 156 ? ' ' : byte;
  }
  int64_t stored = 0;
  for (const char c : bytes.substr(148, 8)) {
    if (c >= '0' && c <= '7') stored = stored * 8 + (c - '0');
  }
  return any && sum == stored;
}

bool IsArchive(std::string_view bytes) {
  using namespace std::string_view_literals;
  for (std::string_view magic : {"BZh"sv, "\x1F\x8B\x08"sv, "\xFD\x37zXZ\0"sv}) {
    if (bytes.starts_with(magic)) return true;
  }
  return IsTarHeader(bytes);
}

StatusOr<std::string> ReadHead(frontend::Bridge& bridge, const llb::State& state,
                               std::stop_token stop) {
  StatusOr<llb::DefinitionPtr> definition = state.Marshal();
  if (!definition.ok()) return Annotate(definition.status(), "failed to marshal httpcontext");
  frontend::SolveRequest request;
  request.definition = *definition;
  StatusOr<frontend::Result> result = bridge.Solve(request, stop);
  if (!result.ok()) return Annotate(result.status(), "failed to resolve httpcontext");
  if (result->ref == nullptr) return UnknownError("failed to read downloaded context: no result");
  StatusOr<std::string> head = result->ref->ReadFile(kHttpFilename, {.offset = 0, .length = 1024});
  if (!head.ok()) return Annotate(head.status(), "failed to read downloaded context");
  return head;
}

Status InitHttp(frontend::Bridge& bridge, const std::string& url, std::stop_token stop,
                BuildContext* context) {
  llb::HttpOptions options;
  options.filename = kHttpFilename;
  options.constraints.Named(InternalName("load remote build context"));
  const llb::State http = llb::Http(url, std::move(options));
  ASSIGN_OR_RETURN(const std::string head, ReadHead(bridge, http, stop));
  if (IsArchive(head)) {
    llb::Copy copy;
    copy.from = http;
    copy.src = StrCat("/", kHttpFilename);
    copy.dest = "/";
    copy.attempt_unpack = true;
    context->context = llb::State().File(llb::FileAction(std::move(copy)));
  } else {
    context->filename = kHttpFilename;
    context->context = http;
  }
  context->dockerfile = context->context;
  return OkStatus();
}

Status InitInputs(frontend::Bridge& bridge, BuildContext* context) {
  using Inputs = std::map<std::string, frontend::DefinitionPtr>;
  StatusOr<Inputs> inputs = bridge.Inputs();
  if (!inputs.ok()) return Annotate(inputs.status(), "failed to get frontend inputs");
  for (const auto& [name, input] : *inputs) {
    if (input == nullptr || input->metadata().empty()) {
      return UnknownError(
          "failed to get frontend inputs: invalid nil input definition to definition op");
    }
  }
  auto dockerfile = inputs->find(context->dockerfile_local);
  if (!context->force_local_dockerfile && dockerfile != inputs->end()) {
    ASSIGN_OR_RETURN(context->dockerfile, llb::FromDefinition(*dockerfile->second));
  }
  if (auto main = inputs->find("context"); main != inputs->end()) {
    ASSIGN_OR_RETURN(context->context, llb::FromDefinition(*main->second));
  }
  return OkStatus();
}

llb::State ScopeTo(const llb::State& state, const std::string& dir) {
  llb::Copy copy;
  copy.from = state;
  copy.src = dir;
  copy.dest = "/";
  copy.copy_dir_contents_only = true;
  return llb::State().File(llb::FileAction(std::move(copy)));
}

}  // namespace

std::string InternalName(std::string_view name) { return StrCat("[internal] ", name); }

StatusOr<llb::State> GitContext(const std::string& reference, std::optional<bool> keep_git_dir,
                                bool commit_mtime, bool* is_git) {
  ASSIGN_OR_RETURN(const llb::GitRef git, llb::ParseGitRef(reference, is_git));
  *is_git = true;
  llb::GitOptions options;
  options.ref = git.ref;
  options.keep_git_dir = git.keep_git_dir.value_or(false) || keep_git_dir.value_or(false);
  options.subdir = git.subdir;
  options.checksum = git.checksum;
  options.skip_submodules = !git.submodules.value_or(true);
  options.mtime = commit_mtime ? "commit" : "";
  if (!git.mtime.empty()) options.mtime = git.mtime;
  options.fetch_by_commit = git.fetch_by_commit;
  options.constraints.Named(InternalName("load git source " + reference));
  return llb::Git(git.remote, std::move(options));
}

StatusOr<BuildContext> InitContext(frontend::Bridge& bridge, const frontend::StringMap& opts,
                                   std::stop_token stop) {
  BuildContext context;
  if (const std::string* name = Find(opts, "filename")) context.filename = *name;
  if (const std::string* name = Find(opts, "dockerfilekey")) {
    context.force_local_dockerfile = true;
    context.dockerfile_local = *name;
  }
  const std::string* key = Find(opts, "contextkey");
  const std::string* given = Find(opts, key != nullptr ? *key : "context");
  const std::string source = given != nullptr ? *given : "";
  std::optional<bool> keep_git_dir;
  bool keep = false;
  const std::string* keep_text = Find(opts, "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR");
  if (keep_text != nullptr && ParseBool(*keep_text, &keep)) keep_git_dir = keep;
  const std::string* epoch = Find(opts, "build-arg:SOURCE_DATE_EPOCH");
  bool is_git = false;
  StatusOr<llb::State> git =
      GitContext(source, keep_git_dir, epoch != nullptr && !epoch->empty(), &is_git);
  const auto& caps = bridge.build_opts().supports_gateway_cap;
  if (is_git) {
    if (!git.ok()) return git.status();
    context.context = *git;
    context.dockerfile = *git;
  } else if (source.starts_with("http://") || source.starts_with("https://")) {
    RETURN_IF_ERROR(InitHttp(bridge, source, stop, &context));
  } else if (!caps || caps("frontend.inputs")) {
    RETURN_IF_ERROR(InitInputs(bridge, &context));
  }
  if (const std::string* dir = Find(opts, "contextsubdir"); dir != nullptr && context.context) {
    context.context = ScopeTo(*context.context, *dir);
  }
  return context;
}

}  // namespace kiln::dockerfile
