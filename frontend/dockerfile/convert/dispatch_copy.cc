// COPY and ADD: every source becomes one copy action of a single file step.
#include <charconv>

#include "base/file.h"
#include "base/strings.h"
#include "base/url.h"
#include "frontend/dockerfile/convert/chmod_text.h"
#include "frontend/dockerfile/convert/dispatch.h"
#include "frontend/dockerfile/convert/os_path.h"
#include "frontend/dockerfile/convert/remote_source.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "frontend/dockerfile/convert/validate.h"
#include "frontend/dockerfile/ui/context.h"
#include "llb/git_ref.h"
#include "llb/source.h"

namespace kiln::dockerfile {
namespace {

constexpr char kCommandKey[] = "com.docker.dockerfile.v1.command";

bool HasWildcards(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '*' || name[i] == '?' || name[i] == '[') return true;
    if (name[i] == '\\') ++i;
  }
  return false;
}

StatusOr<std::string> DestPath(const llb::State& state, const std::string& path,
                               const std::string& os) {
  StatusOr<std::string> stripped = RemoveDriveLetter(path, os, true);
  if (!stripped.ok()) return Annotate(stripped.status(), "removing drive letter");
  if (IsAbsoluteOsPath(*stripped, os)) return NormalizeOsPath("/", *stripped, os, true);
  // An empty path is the current directory, not a file in the one above.
  const bool here = stripped->empty() || *stripped == ".";
  return NormalizeOsPath(state.meta().dir, here ? "./" : *stripped, os, true);
}

StatusOr<std::string> StripDrive(StatusOr<std::string> path) {
  if (path.ok()) return path;
  return Annotate(path.status(), "removing drive letter");
}

}  // namespace

// Collects the actions of one instruction. Lives as long as its dispatch.
class CopyBuilder {
 public:
  CopyBuilder(Dispatcher& dispatcher, CopyRequest request)
      : d_(dispatcher),
        stage_(dispatcher.stage_),
        request_(std::move(request)),
        env_(dispatcher.stage_.state.meta().env) {}

  Status Build() {
    ASSIGN_OR_RETURN(dest_, DestPath(stage_.state, request_.files.dest_path, d_.os()));
    RETURN_IF_ERROR(ReadMode());
    RETURN_IF_ERROR(CheckChecksum());
    history_ = request_.add ? "ADD" : "COPY";
    if (request_.parents) history_ += " --parents";
    if (!request_.chown.empty()) history_ += " --chown=" + request_.chown;
    if (!request_.chmod.empty()) history_ += " --chmod=" + request_.chmod;
    name_ = d_.ShownName(d_.context_.lex, request_.command.code, env_);
    shown_ = d_.Prefixed(name_, stage_.platform, env_);
    for (const std::string& source : request_.files.source_paths) {
      history_ += " " + source;
      RETURN_IF_ERROR(AddSource(source));
    }
    for (const SourceContent& content : request_.files.source_contents) {
      history_ += " <<" + content.path;
      RETURN_IF_ERROR(AddContent(content));
    }
    history_ += " " + request_.files.dest_path;
    Finish();
    d_.Commit(history_, true, true);
    return OkStatus();
  }

 private:
  Status ReadMode() {
    const std::string& text = request_.chmod;
    if (text.empty()) return OkStatus();
    uint32_t mode = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, mode, 8);
    const Status not_octal = UnknownError(StrCat("invalid chmod parameter: '", text,
                                                 "'. it should be octal string and between 0 "
                                                 "and 07777"));
    if (error == std::errc() && rest == end) {
      if (mode > 07777) return not_octal;
      mode_ = llb::ChmodOpt{static_cast<int32_t>(mode), ""};
      return OkStatus();
    }
    if (text[0] >= '0' && text[0] <= '9') return not_octal;
    if (!IsChmodText(text)) return UnknownError("invalid syntax");
    mode_ = llb::ChmodOpt{0, text};
    return OkStatus();
  }

  Status CheckChecksum() const {
    if (request_.checksum.empty()) return OkStatus();
    if (request_.files.source_paths.size() != 1) {
      return UnknownError("checksum can't be specified for multiple sources");
    }
    const std::string& source = request_.files.source_paths[0];
    if (!IsHttpSource(source) && !IsGitSource(source)) {
      return UnknownError("checksum requires HTTP(S) or Git sources");
    }
    return OkStatus();
  }

  llb::Copy NewCopy(const llb::State& from, std::string source) const {
    llb::Copy copy;
    copy.from = from;
    copy.src = std::move(source);
    copy.dest = dest_;
    copy.mode = mode_;
    copy.create_dest_path = true;
    if (!request_.chown.empty()) copy.owner = llb::ParseChown(request_.chown);
    copy.exclude_patterns = request_.exclude_patterns;
    return copy;
  }

  Status AddSource(const std::string& source) {
    bool is_git = false;
    StatusOr<llb::GitRef> git = llb::ParseGitRef(source, &is_git);
    if (!git.ok() && is_git) return git.status();
    if (git.ok() && !git->indistinguishable_from_local) return AddGit(*git);
    if (IsHttpSource(source)) return AddHttp(source);
    return AddPath(source);
  }

  Status AddGit(const llb::GitRef& git) {
    if (!request_.add) return UnknownError("source can't be a git ref for COPY");
    std::optional<bool>& keep = request_.keep_git_dir;
    if (keep && git.keep_git_dir && *keep != *git.keep_git_dir) {
      return UnknownError("inconsistent keep-git-dir configuration");
    }
    if (git.keep_git_dir) keep = git.keep_git_dir;
    std::string& checksum = request_.checksum;
    if (!checksum.empty() && !git.checksum.empty() && checksum != git.checksum) {
      return UnknownError(
          StrCat("checksum mismatch ", Quote(checksum), " != ", Quote(git.checksum)));
    }
    if (!git.checksum.empty()) checksum = git.checksum;
    llb::GitOptions options;
    options.ref = git.ref;
    options.keep_git_dir = keep.value_or(false);
    options.checksum = checksum;
    options.subdir = git.subdir;
    options.skip_submodules = !git.submodules.value_or(true);
    options.fetch_by_commit = git.fetch_by_commit;
    options.constraints.Named(shown_);
    actions_.actions.push_back(NewCopy(llb::Git(git.remote, std::move(options)), "/"));
    return OkStatus();
  }

  Status AddHttp(const std::string& url) {
    if (!request_.add) return UnknownError("source can't be a URL for COPY");
    llb::HttpOptions options;
    options.filename = HttpFilename(url);
    if (!request_.checksum.empty()) {
      ASSIGN_OR_RETURN(const Digest checksum, Digest::Parse(request_.checksum));
      options.checksum = checksum.text();
    }
    options.constraints.Named(shown_);
    options.constraints.description[kCommandKey] = "";
    const std::string filename = options.filename;
    llb::Copy copy = NewCopy(llb::Http(url, std::move(options)), filename);
    // Unlike local ones, remote archives stay packed unless asked for.
    copy.attempt_unpack = request_.unpack.value_or(false);
    actions_.actions.push_back(std::move(copy));
    return OkStatus();
  }

  Status AddPath(std::string source) {
    if (request_.check_ignored) {
      ReportIgnoredSource(source, request_.add, d_.context_.ignore, request_.command.location,
                          &d_.lint_);
    }
    std::vector<std::string> patterns, required;
    if (request_.parents) RETURN_IF_ERROR(SplitParents(&source, &patterns, &required));
    ASSIGN_OR_RETURN(source, StripDrive(NormalizeOsPath("/", source, d_.os(), false)));
    for (std::string& path : required) {
      ASSIGN_OR_RETURN(path, StripDrive(NormalizeOsPath("/", path, d_.os(), false)));
    }
    llb::Copy copy = NewCopy(request_.source, std::move(source));
    copy.follow_symlinks = true;
    copy.copy_dir_contents_only = true;
    copy.include_patterns = std::move(patterns);
    copy.required_paths = std::move(required);
    copy.attempt_unpack = request_.unpack.value_or(request_.add);
    copy.allow_wildcard = true;
    copy.allow_empty_wildcard = true;
    actions_.actions.push_back(std::move(copy));
    return OkStatus();
  }

  // "a/./b/c": below a, with b as a parent that is kept.
  Status SplitParents(std::string* source, std::vector<std::string>* patterns,
                      std::vector<std::string>* required) const {
    std::string_view parent, rest;
    std::string pattern = *source;
    if (StrCut(*source, "/./", &parent, &rest)) {
      pattern = rest;
      *source = std::string(parent);
    } else {
      *source = "/";
    }
    ASSIGN_OR_RETURN(pattern, StripDrive(NormalizeOsPath("/", pattern, d_.os(), false)));
    patterns->emplace_back(TrimPrefix(pattern, "/"));
    if (!HasWildcards(*source) && !HasWildcards(pattern)) {
      required->push_back(CleanPath(source->empty() ? pattern : StrCat(*source, "/", pattern)));
    }
    return OkStatus();
  }

  Status AddContent(const SourceContent& content) {
    ASSIGN_OR_RETURN(const std::string path,
                     StripDrive(RemoveDriveLetter(content.path, d_.os(), false)));
    llb::Mkfile mkfile;
    mkfile.path = path;
    mkfile.data = content.data;
    llb::Constraints constraints;
    constraints.Named(InternalName("preparing inline document"));
    constraints.platform = stage_.platform;
    const llb::State file =
        llb::State().File(llb::FileAction(std::move(mkfile)), std::move(constraints));
    actions_.actions.push_back(NewCopy(file, ToSlash(path, d_.os())));
    return OkStatus();
  }

  llb::Constraints FileConstraints() const {
    llb::Constraints constraints;
    constraints.Named(shown_);
    constraints.locations = d_.Locate(request_.command.location);
    constraints.ignore_cache = stage_.ignore_cache;
    return constraints;
  }

  void Finish() {
    const bool linked =
        request_.link && request_.chmod.empty() && d_.context_.caps(llb::kCapMergeOp);
    if (!linked) {
      stage_.state = stage_.state.File(std::move(actions_), FileConstraints());
      return;
    }
    // Both steps show as one: the name is made again with the same number.
    const std::string group = NewId();
    --stage_.cmd_index;
    const std::string group_name = d_.Prefixed(name_, stage_.platform, env_);
    llb::Constraints copy = FileConstraints();
    copy.platform = stage_.platform;
    copy.progress_group = llb::ProgressGroup{group, group_name, true};
    llb::Constraints merge = FileConstraints();
    merge.progress_group = llb::ProgressGroup{group, group_name, false};
    --stage_.cmd_index;
    merge.Named(d_.Prefixed("LINK " + name_, stage_.platform, env_));
    const llb::State layer = llb::State().File(std::move(actions_), std::move(copy));
    const llb::State merged = llb::Merge({stage_.state, layer}, std::move(merge));
    stage_.state = stage_.state.WithOutput(merged.output());
  }

  Dispatcher& d_;
  StageState& stage_;
  CopyRequest request_;
  StateEnv env_;
  std::string dest_;
  std::optional<llb::ChmodOpt> mode_;
  std::string history_;
  std::string name_;   // without the number of the step
  std::string shown_;
  llb::FileActions actions_;
};

Status Dispatcher::Run(const AddCommand& c, const StageCommand&) {
  CopyRequest request{c.files, c, context_.build_context};
  request.add = true;
  request.exclude_patterns = c.exclude_patterns;
  request.chown = c.chown;
  request.chmod = c.chmod;
  request.checksum = c.checksum;
  request.link = c.link;
  request.keep_git_dir = c.keep_git_dir;
  request.unpack = c.unpack;
  request.check_ignored = true;
  RETURN_IF_ERROR(CopyBuilder(*this, std::move(request)).Build());
  for (const std::string& source : c.files.source_paths) {
    if (source.starts_with("http://") || source.starts_with("https://")) continue;
    stage_.ctx_paths.insert(CleanPath("/" + source));
  }
  return OkStatus();
}

Status Dispatcher::Run(const CopyCommand& c, const StageCommand& command) {
  StageState* from = command.sources.empty() ? nullptr : command.sources[0];
  if (from != nullptr && !from->dispatched) {
    return UnknownError(StrCat("cannot copy from stage ", Quote(c.from),
                               ", it needs to be defined before current stage ",
                               Quote(stage_.stage_name)));
  }
  CopyRequest request{c.files, c, from != nullptr ? from->state : context_.build_context};
  request.exclude_patterns = c.exclude_patterns;
  request.chown = c.chown;
  request.chmod = c.chmod;
  request.link = c.link;
  request.parents = c.parents;
  request.check_ignored = from == nullptr;
  RETURN_IF_ERROR(CopyBuilder(*this, std::move(request)).Build());
  std::set<std::string>& used = from != nullptr ? *from->paths : stage_.ctx_paths;
  for (const std::string& source : c.files.source_paths) used.insert(CleanPath("/" + source));
  return OkStatus();
}

}  // namespace kiln::dockerfile
