// The actions of a FileOp on open trees: mkdir, mkfile, symlink, rm, copy.
#pragma once

#include <optional>
#include <stop_token>

#include "base/rooted.h"
#include "base/status.h"
#include "worker/op/file/file_attributes.h"

namespace pb {
class ChownOpt;
class FileActionCopy;
class FileActionMkDir;
class FileActionMkFile;
class FileActionRm;
class FileActionSymlink;
}  // namespace pb

namespace kiln::worker {

struct LayerFolder;

Status MakeDirAction(const RootedTree& tree, const pb::FileActionMkDir& action,
                     const std::optional<Owner>& owner);
Status MakeFileAction(const RootedTree& tree, const pb::FileActionMkFile& action,
                      const std::optional<Owner>& owner);
Status SymlinkAction(const RootedTree& tree, const pb::FileActionSymlink& action,
                     const std::optional<Owner>& owner);
Status RemoveAction(const RootedTree& tree, const pb::FileActionRm& action);
// `layer`: see tree_copier.h.
Status CopyAction(const RootedTree& source, const RootedTree& target,
                  const pb::FileActionCopy& action, const std::optional<Owner>& owner,
                  std::stop_token stop, LayerFolder* layer = nullptr);

// Names are looked up in the passwd and group files of `users` and `groups` (null
// if the op names none). An unknown name gives 0.
StatusOr<std::optional<Owner>> ResolveOwner(const pb::ChownOpt* owner, const RootedTree* users,
                                            const RootedTree* groups);

}  // namespace kiln::worker
