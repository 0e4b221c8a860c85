#include "worker/op/file/file_actions.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/exec/container_user.h"
#include "worker/op/file/copy_path.h"
#include "worker/op/file/unpack.h"

namespace kiln::worker {
namespace {

AttributeChange ChangeOf(const std::optional<Owner>& owner, int64_t timestamp) {
  AttributeChange change;
  change.owner = owner;
  if (timestamp != -1) change.timestamp = timestamp;
  return change;
}

StatusOr<CopyOptions> OptionsOf(const pb::FileActionCopy& action,
                                const std::optional<Owner>& owner) {
  CopyOptions options;
  options.change = ChangeOf(owner, action.timestamp());
  if (!action.modestr().empty()) {
    ASSIGN_OR_RETURN(options.symbolic_mode, SymbolicMode::Parse(action.modestr()));
  } else if (action.mode() != -1) {
    options.change.mode = static_cast<uint32_t>(action.mode()) & 07777;
  }
  options.follow_links = action.followsymlink();
  options.dir_contents = action.dircopycontents();
  options.replace_existing = action.alwaysreplaceexistingdestpaths();
  options.include.assign(action.include_patterns().begin(), action.include_patterns().end());
  options.exclude.assign(action.exclude_patterns().begin(), action.exclude_patterns().end());
  return options;
}

// True if `from` was an archive and has been unpacked.
StatusOr<bool> TryUnpack(const RootedTree& source, const std::string& from,
                         const RootedTree& target, const std::string& to,
                         const AttributeChange& change, std::stop_token stop) {
  ASSIGN_OR_RETURN(std::string place, source.Resolve(CleanPath("/" + from)));
  if (!IsArchive(source, place)) return false;
  ASSIGN_OR_RETURN(std::string folder, target.Resolve(CleanPath("/" + to)));
  RETURN_IF_ERROR(MadeDirs().Make(target, folder, 0755, change));
  RETURN_IF_ERROR(UnpackArchive(source, place, target, folder, change.owner, std::move(stop)));
  return true;
}

Status RemovePath(const RootedTree& tree, const std::string& raw, bool allow_missing) {
  const std::string path = CleanPath("/" + raw);
  if (path == "/") {
    return InvalidArgumentError("rmPath: invalid empty path");
  }
  ASSIGN_OR_RETURN(std::string parent, tree.Resolve(DirName(path)));
  const std::string place = JoinPath(parent, BaseName(path));
  if (!allow_missing) {
    StatusOr<struct stat> st = tree.Lstat(place);
    if (!st.ok() && IsNotFound(st.status())) {
      return ErrnoStatus(ENOENT, StrCat("stat ", place));
    }
  }
  return tree.RemoveAll(place);
}

// The folder of `place`; what is missing is reported as the failure of `call`, as Go does.
StatusOr<RootedTree::Parent> ParentFor(const RootedTree& tree, const std::string& place,
                                       std::string_view call) {
  StatusOr<RootedTree::Parent> parent = tree.OpenParent(place);
  if (!parent.ok() && IsNotFound(parent.status())) {
    return ErrnoStatus(ENOENT, StrCat(call, " ", place));
  }
  return parent;
}

// Text of a passwd or group file; "" if there is none.
StatusOr<std::string> UserFile(const RootedTree& tree, std::string_view path) {
  StatusOr<std::string> text = exec::ReadUserFile(tree, path);
  if (!text.ok() && text.status().code() != StatusCode::kResourceExhausted &&
      !Contains(text.status().message(), "regular file")) {
    return std::string();
  }
  return text;
}

}  // namespace

Status MakeDirAction(const RootedTree& tree, const pb::FileActionMkDir& action,
                     const std::optional<Owner>& owner) {
  const uint32_t mode = static_cast<uint32_t>(action.mode()) & 0777;
  const AttributeChange change = ChangeOf(owner, action.timestamp());
  if (action.makeparents()) {
    return MadeDirs().Make(tree, CleanPath("/" + action.path()), mode, change);
  }
  ASSIGN_OR_RETURN(std::string place, tree.Resolve(CleanPath("/" + action.path())));
  ASSIGN_OR_RETURN(RootedTree::Parent parent, ParentFor(tree, place, "mkdir"));
  if (::mkdirat(parent.dir.get(), parent.name.c_str(), mode) != 0) {
    return errno == EEXIST ? OkStatus() : ErrnoStatus(errno, StrCat("mkdir ", place));
  }
  if (::fchmodat(parent.dir.get(), parent.name.c_str(), mode, 0) != 0) {
    return ErrnoStatus(errno, StrCat("chmod ", place));
  }
  return ApplyNew(parent.dir.get(), parent.name, change, place);
}

Status MakeFileAction(const RootedTree& tree, const pb::FileActionMkFile& action,
                      const std::optional<Owner>& owner) {
  const mode_t mode = static_cast<mode_t>(action.mode()) & 0777;
  ASSIGN_OR_RETURN(std::string place, tree.Resolve(CleanPath("/" + action.path())));
  ASSIGN_OR_RETURN(RootedTree::Parent parent, ParentFor(tree, place, "open"));
  const int dir = parent.dir.get();
  // An existing file keeps its mode, as with any editor.
  UniqueFd fd(::openat(dir, parent.name.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  const bool is_new = fd.valid();
  if (!is_new && errno == EEXIST) {
    fd = UniqueFd(::openat(dir, parent.name.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!fd.valid()) return ErrnoStatus(errno, StrCat("open ", place));
  if (is_new && ::fchmod(fd.get(), mode) != 0) return ErrnoStatus(errno, StrCat("chmod ", place));
  RETURN_IF_ERROR(WriteAll(fd.get(), action.data()));
  fd.Reset();
  return ApplyNew(dir, parent.name, ChangeOf(owner, action.timestamp()), place);
}

Status SymlinkAction(const RootedTree& tree, const pb::FileActionSymlink& action,
                     const std::optional<Owner>& owner) {
  ASSIGN_OR_RETURN(std::string place, tree.Resolve(CleanPath("/" + action.newpath())));
  ASSIGN_OR_RETURN(RootedTree::Parent parent,
                   ParentFor(tree, place, StrCat("symlink ", action.oldpath())));
  if (::symlinkat(action.oldpath().c_str(), parent.dir.get(), parent.name.c_str()) != 0) {
    return ErrnoStatus(errno, StrCat("symlink ", action.oldpath(), " ", place));
  }
  return ApplyNew(parent.dir.get(), parent.name, ChangeOf(owner, action.timestamp()), place);
}

Status RemoveAction(const RootedTree& tree, const pb::FileActionRm& action) {
  if (!action.allowwildcard()) {
    return RemovePath(tree, action.path(), action.allownotfound());
  }
  ASSIGN_OR_RETURN(std::vector<std::string> paths,
                   ResolveWildcards(tree, CleanKeepingEnd(action.path()), false));
  for (const std::string& path : paths) {
    RETURN_IF_ERROR(RemovePath(tree, path, action.allownotfound()));
  }
  return OkStatus();
}

Status CopyAction(const RootedTree& source, const RootedTree& target,
                  const pb::FileActionCopy& action, const std::optional<Owner>& owner,
                  std::stop_token stop, LayerFolder* layer) {
  const std::string from = CleanKeepingEnd(action.src());
  const std::string to = CleanKeepingEnd(action.dest());
  if (!action.createdestpath()) {
    ASSIGN_OR_RETURN(std::string place, target.Resolve(CleanPath("/" + action.dest())));
    StatusOr<struct stat> st = target.Lstat(DirName(place));
    if (!st.ok()) return Annotate(st.status(), StrCat("failed to stat ", action.dest()));
  }
  std::vector<std::string> sources = {from};
  if (action.allowwildcard()) {
    ASSIGN_OR_RETURN(sources, ResolveWildcards(source, from, action.followsymlink()));
    if (sources.empty()) {
      return action.allowemptywildcard() ? OkStatus() : NotFoundError(StrCat(from, " not found"));
    }
  }
  ASSIGN_OR_RETURN(CopyOptions options, OptionsOf(action, owner));
  options.layer = layer;
  for (const std::string& path : sources) {
    if (action.attemptunpackdockercompatibility()) {
      ASSIGN_OR_RETURN(bool unpacked,
                       TryUnpack(source, path, target, to, options.change, stop));
      if (unpacked) continue;
    }
    RETURN_IF_ERROR(CopyPath(source, path, target, to, options, stop));
  }
  return OkStatus();
}

StatusOr<std::optional<Owner>> ResolveOwner(const pb::ChownOpt* owner, const RootedTree* users,
                                            const RootedTree* groups) {
  if (owner == nullptr) return std::optional<Owner>();
  Owner found;
  if (owner->user().has_byname()) {
    if (users == nullptr) return InvalidArgumentError("invalid missing user mount");
    ASSIGN_OR_RETURN(std::string text, UserFile(*users, "/etc/passwd"));
    for (const exec::PasswdEntry& entry : exec::ParsePasswd(text)) {
      if (entry.name == owner->user().byname().name()) {
        found = {static_cast<uint32_t>(entry.uid), static_cast<uint32_t>(entry.gid)};
        break;
      }
    }
  } else if (owner->user().user_case() == pb::UserOpt::kByID) {
    found = {owner->user().byid(), owner->user().byid()};
  }
  if (owner->group().has_byname()) {
    if (groups == nullptr) return InvalidArgumentError("invalid missing group mount");
    ASSIGN_OR_RETURN(std::string text, UserFile(*groups, "/etc/group"));
    for (const exec::GroupEntry& entry : exec::ParseGroup(text)) {
      if (entry.name == owner->group().byname().name()) {
        found.gid = static_cast<uint32_t>(entry.gid);
        break;
      }
    }
  } else if (owner->group().user_case() == pb::UserOpt::kByID) {
    found.gid = owner->group().byid();
  }
  return std::optional<Owner>(found);
}

}  // namespace kiln::worker
