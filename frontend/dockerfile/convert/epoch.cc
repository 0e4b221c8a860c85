// A number needs nobody; everything else asks the daemon for metadata of a source.
#include "frontend/dockerfile/convert/epoch.h"

#include "base/strings.h"
#include "frontend/dockerfile/convert/archive_time.h"
#include "frontend/dockerfile/convert/remote_source.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "frontend/dockerfile/ui/client.h"
#include "llb/git_ref.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"

namespace kiln::dockerfile {
namespace {

Epoch FromTime(Time time) { return {time, FormatRfc3339Nano(time)}; }

// "… <mail> 1700000000 +0200" of a commit's committer line.
std::optional<Epoch> CommitterTime(std::string_view commit) {
  for (std::string_view line : StrSplit(commit, '\n')) {
    if (line.empty()) break;
    if (!line.starts_with("committer ")) continue;
    const size_t mail = line.rfind('>');
    if (mail == std::string_view::npos) break;
    const auto parts = StrSplit(TrimSpace(line.substr(mail + 1)), ' ');
    int64_t seconds = 0;
    if (!ParseInt64(parts[0], &seconds)) break;
    Epoch epoch = FromTime(Time::FromSeconds(seconds));
    int64_t zone = 0;
    const bool zoned = parts.size() > 1 && parts[1].size() == 5 &&
                       ParseInt64(TrimPrefix(parts[1], "+"), &zone);
    if (!zoned || zone == 0) return epoch;
    // Shown in the committer's own time zone.
    const int64_t offset = (zone / 100) * 3600 + (zone % 100) * 60;
    const std::string local = FormatRfc3339Nano(Time::FromSeconds(seconds + offset));
    epoch.text = StrCat(TrimSuffix(local, "Z"), parts[1].substr(0, 3), ":", parts[1].substr(3));
    return epoch;
  }
  return std::nullopt;
}

struct Origin {
  llb::State state;
  std::string log_name;
};

StatusOr<std::string> ExpandWord(const std::string& word, const llb::EnvList& env,
                                 const ShellLex& lex) {
  ASSIGN_OR_RETURN(WordResult result, lex.Process(word, StateEnv(env)));
  return std::move(result.word);
}

StatusOr<llb::State> AddedSource(const AddCommand& add, const llb::EnvList& env,
                                 const ShellLex& lex) {
  if (!add.files.source_contents.empty() || add.files.source_paths.size() != 1) {
    return UnknownError("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD source");
  }
  ASSIGN_OR_RETURN(const std::string source, ExpandWord(add.files.source_paths[0], env, lex));
  std::string checksum;
  if (!add.checksum.empty()) {
    ASSIGN_OR_RETURN(checksum, ExpandWord(add.checksum, env, lex));
  }
  if (IsHttpSource(source)) {
    llb::HttpOptions options;
    options.filename = HttpFilename(source);
    if (!checksum.empty()) {
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(checksum));
      options.checksum = digest.text();
    }
    return llb::Http(source, std::move(options));
  }
  bool is_git = false;
  StatusOr<llb::GitRef> git = llb::ParseGitRef(source, &is_git);
  if (!git.ok() && is_git) return git.status();
  if (!git.ok() || git->indistinguishable_from_local) {
    return UnknownError("SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD");
  }
  llb::GitOptions options;
  options.ref = git->ref;
  options.keep_git_dir = add.keep_git_dir.value_or(false) || git->keep_git_dir.value_or(false);
  options.checksum = checksum.empty() ? git->checksum : checksum;
  options.subdir = git->subdir;
  options.skip_submodules = !git->submodules.value_or(true);
  return llb::Git(git->remote, std::move(options));
}

Status ApplyArgs(const ArgCommand& command, const EpochContext& context, llb::EnvList* env) {
  for (const ArgPair& arg : command.args) {
    auto given = context.build_args.find(arg.key);
    if (given != context.build_args.end()) {
      env->Set(arg.key, given->second);
    } else if (arg.value) {
      ASSIGN_OR_RETURN(std::string value, ExpandWord(*arg.value, *env, context.lex));
      env->Set(arg.key, std::move(value));
    }
  }
  return OkStatus();
}

StatusOr<llb::State> StageSource(const Stage& stage, const EpochContext& context) {
  llb::EnvList env = context.global_args;
  env.Delete("SOURCE_DATE_EPOCH");
  StatusOr<std::string> base = ExpandWord(stage.base_name, env, context.lex);
  if (!base.ok()) {
    return Annotate(base.status(), StrCat("failed to process source stage base name ",
                                          Quote(stage.base_name)));
  }
  if (*base != "scratch") return UnknownError("SOURCE_DATE_EPOCH stage must use FROM scratch");
  std::optional<llb::State> source;
  for (const Command& command : stage.commands) {
    if (const ArgCommand* arg = std::get_if<ArgCommand>(&command)) {
      RETURN_IF_ERROR(ApplyArgs(*arg, context, &env));
    } else if (const AddCommand* add = std::get_if<AddCommand>(&command)) {
      if (source) {
        return UnknownError("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD");
      }
      ASSIGN_OR_RETURN(source, AddedSource(*add, env, context.lex));
    } else {
      return UnknownError(StrCat("SOURCE_DATE_EPOCH stage does not meet source-only requirements: "
                                 "unsupported ",
                                 BaseOf(command).name, " instruction"));
    }
  }
  if (!source) return UnknownError("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD");
  return *std::move(source);
}

StatusOr<Origin> FindOrigin(const std::string& value, const EpochContext& context) {
  if (value == "context") {
    ASSIGN_OR_RETURN(llb::State state, context.client->MainContext({}));
    return Origin{std::move(state), "[internal] resolve main build context metadata"};
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> named,
                   context.client->FindNamedContext(value, std::nullopt));
  if (named) {
    ASSIGN_OR_RETURN(LoadedContext loaded, context.client->LoadNamedContext(*named, {}));
    return Origin{std::move(loaded.state),
                  "[internal] resolve SOURCE_DATE_EPOCH named context " + value};
  }
  for (const Stage& stage : context.stages) {
    if (ToLower(stage.name) != ToLower(value)) continue;
    StatusOr<llb::State> state = StageSource(stage, context);
    if (!state.ok()) return WithLocation(state.status(), stage.location);
    return Origin{*std::move(state),
                  "[internal] resolve SOURCE_DATE_EPOCH source stage " + stage.name};
  }
  return UnknownError("invalid SOURCE_DATE_EPOCH: " + value);
}

// The only source of a state; nothing if there are none or several.
StatusOr<std::optional<pb::SourceOp>> OnlySource(const llb::State& state) {
  ASSIGN_OR_RETURN(const llb::DefinitionPtr definition, state.Marshal());
  std::optional<pb::SourceOp> source;
  for (const std::string& bytes : definition->def()) {
    pb::Op op;
    if (!op.ParseFromString(bytes)) return InternalError("failed to parse llb proto op");
    if (!op.has_source()) continue;
    if (source) return std::optional<pb::SourceOp>();
    source = op.source();
  }
  return source;
}

StatusOr<std::optional<Epoch>> ArchiveEpoch(const pb::SourceOp& source,
                                            const std::string& filename, Client& client) {
  std::map<std::string, std::string> attrs(source.attrs().begin(), source.attrs().end());
  ASSIGN_OR_RETURN(llb::DefinitionPtr definition,
                   llb::Source(source.identifier(), std::move(attrs)).Marshal());
  frontend::SolveRequest request;
  request.definition = std::move(definition);
  ASSIGN_OR_RETURN(const frontend::Result result, client.bridge().Solve(request, client.stop()));
  if (result.ref == nullptr) return std::optional<Epoch>();
  ASSIGN_OR_RETURN(const std::string bytes, result.ref->ReadFile(filename, {}));
  std::optional<Epoch> epoch;
  if (std::optional<Time> time = NewestFileTime(bytes)) epoch = FromTime(*time);
  return epoch;
}

StatusOr<std::optional<Epoch>> OriginEpoch(const Origin& origin, Client& client) {
  ASSIGN_OR_RETURN(const std::optional<pb::SourceOp> source, OnlySource(origin.state));
  std::optional<Epoch> epoch;
  if (!source) return epoch;
  frontend::ResolveRequest request;
  request.log_name = origin.log_name;
  request.git_return_object = source->identifier().starts_with("git://");
  ASSIGN_OR_RETURN(const frontend::SourceMeta meta,
                   client.bridge().ResolveSourceMeta(*source, request, client.stop()));
  if (!meta.git_commit_object.empty()) return CommitterTime(meta.git_commit_object);
  if (meta.http_last_modified) {
    epoch = FromTime(*meta.http_last_modified);
    return epoch;
  }
  const bool http = source->identifier().starts_with("http://") ||
                    source->identifier().starts_with("https://");
  auto filename = source->attrs().find("http.filename");
  if (!http || filename == source->attrs().end() || filename->second.empty()) return epoch;
  return ArchiveEpoch(*source, filename->second, client);
}

}  // namespace

int64_t Epoch::seconds() const {
  const int64_t second = 1'000'000'000;
  return time.nanos >= 0 ? time.nanos / second : (time.nanos - second + 1) / second;
}

StatusOr<std::optional<Epoch>> ResolveEpoch(const std::string& value,
                                            const EpochContext& context) {
  std::optional<Epoch> epoch;
  if (value.empty()) return epoch;
  int64_t seconds = 0;
  if (ParseInt64(TrimPrefix(value, "+"), &seconds)) {
    epoch = FromTime(Time::FromSeconds(seconds));
    return epoch;
  }
  ASSIGN_OR_RETURN(const Origin origin, FindOrigin(value, context));
  return OriginEpoch(origin, *context.client);
}

}  // namespace kiln::dockerfile
