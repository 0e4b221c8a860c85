// FileOp: a chain of changes to trees, without a process.
//
// Each action writes on the tree that an earlier one left open; a tree is frozen
// into a record only where a second reader or an output needs it.
#include <map>
#include <set>

#include "base/rooted.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"
#include "worker/op/failed_steps.h"
#include "worker/op/file/file_actions.h"
#include "worker/op/file/tree_copier.h"
#include "worker/op/op_deps.h"

namespace kiln::worker {
namespace {

// A mounted tree: a record that is read, or a growing one.
struct OpenTree {
  cache::Ref reading;
  cache::MutableRef writing;
  std::optional<cache::LocalMount> mount;
  std::optional<RootedTree> tree;
  LayerFolder layer;

  Status Open(cache::MountLease lease, const std::string& temp_dir) {
    const cache::Mount only = lease.mounts.size() == 1 ? lease.mounts[0] : cache::Mount();
    layer.plain = only.type == "bind";
    for (const std::string& option : only.options) {
      if (only.type != "overlay" || !option.starts_with("upperdir=")) continue;
      ASSIGN_OR_RETURN(layer.upper,
                       RootedTree::Open(std::string(TrimPrefix(option, "upperdir="))));
    }
    ASSIGN_OR_RETURN(mount, cache::LocalMount::Open(std::move(lease), temp_dir));
    ASSIGN_OR_RETURN(tree, RootedTree::Open(mount->path()));
    return OkStatus();
  }
  StatusOr<cache::Ref> Commit() {
    layer.upper.reset();
    tree.reset();
    mount.reset();
    return writing.Commit();
  }
};
using OpenTreePtr = std::shared_ptr<OpenTree>;

// Runs the actions that the outputs need, once each. Used by one job.
class FileRun {
 public:
  FileRun(const OpDeps& deps, const pb::FileOp& op, const std::string& name,
          const std::vector<cache::Ref>& inputs, solver::JobContext& context)
      : deps_(deps),
        op_(op),
        name_(name.empty() ? "fileop target" : name),
        inputs_(inputs),
        context_(context),
        count_(static_cast<int64_t>(inputs.size())) {}

  StatusOr<std::vector<cache::Ref>> Run() {
    RETURN_IF_ERROR(Plan());
    std::vector<cache::Ref> refs;
    for (const auto& [output, index] : outputs_) {
      if (output != static_cast<int64_t>(refs.size())) {
        return InvalidArgumentError(StrCat("missing output index ", refs.size()));
      }
      RETURN_IF_ERROR(Validate(index, {}));
      ASSIGN_OR_RETURN(const Node* node, Get(index));
      refs.push_back(node->ref->Clone());
    }
    return refs;
  }

 private:
  // The state of an index: an input, or what an action made.
  struct Node {
    std::optional<cache::Ref> ref;  // frozen
    OpenTreePtr open;               // or still growing
    bool freeze = false;            // must be frozen
    bool used = false;
  };

  Status Plan() {
    const int64_t limit = count_ + op_.actions_size();
    auto use = [&](int64_t index) {
      Node& node = nodes_[index];
      node.freeze |= node.used;
      node.used = true;
    };
    for (int i = 0; i < op_.actions_size(); ++i) {
      const pb::FileAction& action = op_.actions(i);
      if (action.input() < -1 || action.input() >= limit) {
        return InvalidArgumentError(
            StrCat("invalid input index ", action.input(), ", ", limit, " provided"));
      }
      if (action.secondaryinput() < -1 || action.secondaryinput() >= limit) {
        return InvalidArgumentError(
            StrCat("invalid secondary input index ", action.input(), ", ", count_, " provided"));
      }
      use(action.input());
      use(action.secondaryinput());
      if (action.output() != -1) {
        if (!outputs_.emplace(action.output(), count_ + i).second) {
          return InvalidArgumentError(StrCat("duplicate output ", action.output()));
        }
        nodes_[count_ + i].freeze = true;
      }
    }
    return outputs_.empty() ? InvalidArgumentError("no outputs specified") : OkStatus();
  }

  Status Validate(int64_t index, std::set<int64_t> seen) const {
    if (index < count_) return OkStatus();
    if (!seen.insert(index).second) {
      return InvalidArgumentError(StrCat("loop from index ", index));
    }
    const pb::FileAction& action = op_.actions(static_cast<int>(index - count_));
    RETURN_IF_ERROR(Validate(action.input(), seen));
    return Validate(action.secondaryinput(), std::move(seen));
  }

  StatusOr<Node*> Get(int64_t index) {
    Node& node = nodes_[index];
    if (node.ref || node.open) return &node;
    if (index < 0 || index >= count_ + op_.actions_size()) {
      return InvalidArgumentError(StrCat("invalid input index ", index));
    }
    if (index < count_) {
      node.ref = inputs_[static_cast<size_t>(index)].Clone();
      return &node;
    }
    OpenTreePtr tree, source;
    Status status =
        Act(op_.actions(static_cast<int>(index - count_)), node.freeze, &tree, &source);
    if (!status.ok()) return WithTrees(std::move(status), index, tree, source);
    if (node.freeze) {
      ASSIGN_OR_RETURN(node.ref, tree->Commit());
    } else {
      node.open = std::move(tree);
    }
    return &node;
  }

  // `target` and `source` are set as far as it came. `last`: nothing follows on the target.
  Status Act(const pb::FileAction& action, bool last, OpenTreePtr* target, OpenTreePtr* source) {
    ASSIGN_OR_RETURN(*target, ForWriting(action.input()));
    const RootedTree& tree = *(*target)->tree;
    switch (action.action_case()) {
      case pb::FileAction::kMkdir: {
        ASSIGN_OR_RETURN(auto owner, OwnerOf(action.mkdir()));
        RETURN_IF_ERROR(MakeDirAction(tree, action.mkdir(), owner));
        break;
      }
      case pb::FileAction::kMkfile: {
        ASSIGN_OR_RETURN(auto owner, OwnerOf(action.mkfile()));
        RETURN_IF_ERROR(MakeFileAction(tree, action.mkfile(), owner));
        break;
      }
      case pb::FileAction::kSymlink: {
        ASSIGN_OR_RETURN(auto owner, OwnerOf(action.symlink()));
        RETURN_IF_ERROR(SymlinkAction(tree, action.symlink(), owner));
        break;
      }
      case pb::FileAction::kRm:
        RETURN_IF_ERROR(RemoveAction(tree, action.rm()));
        break;
      case pb::FileAction::kCopy: {
        ASSIGN_OR_RETURN(*source, ForReading(action.secondaryinput()));
        ASSIGN_OR_RETURN(auto owner, OwnerOf(action.copy()));
        LayerFolder* layer = last && *source != *target ? &(*target)->layer : nullptr;
        if (layer != nullptr) layer->share = !(*source)->reading.empty() && (*source)->layer.plain;
        Status copied =
            CopyAction(*(*source)->tree, tree, action.copy(), owner, context_.stop(), layer);
        if (layer != nullptr && !layer->shared.empty()) (*source)->reading.SharesFiles();
        RETURN_IF_ERROR(copied);
        break;
      }
      default:
        return InvalidArgumentError("invalid action type");
    }
    return OkStatus();
  }

  // The failure of action `index`, with the trees as they are now for who debugs it.
  Status WithTrees(Status status, int64_t index, const OpenTreePtr& target,
                   const OpenTreePtr& source) {
    if (status.FindDetail(kFileActionUrl) != nullptr) return status;
    status.AddDetail(kFileActionUrl, std::to_string(index - count_));
    if (deps_.failed_steps == nullptr || target == nullptr) return status;
    if (context_.stop().stop_requested()) return status;
    FailedStep step;
    for (const cache::Ref& input : inputs_) {
      step.inputs.push_back(input.empty() ? cache::Ref() : input.Clone());
    }
    step.mounts.resize(static_cast<size_t>(op_.actions_size()));
    auto keep = [&](int64_t at, const OpenTreePtr& tree) {
      if (at < count_ || tree == nullptr || tree->writing.empty()) return;
      StatusOr<cache::Ref> ref = tree->Commit();
      if (ref.ok()) step.mounts[static_cast<size_t>(at - count_)] = *std::move(ref);
    };
    keep(index, target);
    if (source != target) {
      keep(op_.actions(static_cast<int>(index - count_)).secondaryinput(), source);
    }
    status.AddDetail(kFailedStepUrl,
                     deps_.failed_steps->Keep(std::move(step), context_.Builds()));
    return status;
  }


  // A tree to write on: the open one of an earlier action, or a new one over a record.
  StatusOr<OpenTreePtr> ForWriting(int64_t index) {
    cache::Ref parent;
    if (index != -1) {
      ASSIGN_OR_RETURN(Node * node, Get(index));
      if (node->open) return node->open;
      parent = node->ref->Clone();
    }
    auto tree = std::make_shared<OpenTree>();
    ASSIGN_OR_RETURN(tree->writing, deps_.refs->NewMutable(parent, {.description = name_}));
    ASSIGN_OR_RETURN(cache::MountLease lease, tree->writing.Mount(false, context_.stop()));
    RETURN_IF_ERROR(tree->Open(std::move(lease), deps_.temp_dir));
    return tree;
  }

  StatusOr<OpenTreePtr> ForReading(int64_t index) {
    if (index == -1) return ForWriting(-1);
    ASSIGN_OR_RETURN(Node * node, Get(index));
    if (node->open) return node->open;
    if (node->ref->empty()) return ForWriting(-1);
    OpenTreePtr& known = readers_[index];
    if (known == nullptr) {
      auto tree = std::make_shared<OpenTree>();
      tree->reading = node->ref->Clone();
      ASSIGN_OR_RETURN(cache::MountLease lease, tree->reading.Mount(true, context_.stop()));
      RETURN_IF_ERROR(tree->Open(std::move(lease), deps_.temp_dir));
      known = std::move(tree);
    }
    return known;
  }

  template <typename Action>
  StatusOr<std::optional<Owner>> OwnerOf(const Action& action) {
    if (!action.has_owner()) return std::optional<Owner>();
    ASSIGN_OR_RETURN(OpenTreePtr users, UserTree(action.owner().user()));
    ASSIGN_OR_RETURN(OpenTreePtr groups, UserTree(action.owner().group()));
    return ResolveOwner(&action.owner(), users == nullptr ? nullptr : &*users->tree,
                        groups == nullptr ? nullptr : &*groups->tree);
  }

  StatusOr<OpenTreePtr> UserTree(const pb::UserOpt& user) {
    if (!user.has_byname()) return OpenTreePtr();
    if (user.byname().input() < 0) {
      return InvalidArgumentError(StrCat("invalid user index: ", user.byname().input()));
    }
    return ForReading(user.byname().input());
  }

  const OpDeps& deps_;
  const pb::FileOp& op_;
  std::string name_;
  const std::vector<cache::Ref>& inputs_;
  solver::JobContext& context_;
  int64_t count_;
  std::map<int64_t, int64_t> outputs_;  // output to index
  std::map<int64_t, Node> nodes_;
  std::map<int64_t, OpenTreePtr> readers_;
};

class FileOp : public solver::Op {
 public:
  FileOp(const OpDeps& deps, VertexPtr vertex) : deps_(deps), vertex_(std::move(vertex)) {}

  bool HasQuickMap() const override { return true; }
  StatusOr<solver::CacheMapAnswer> GetCacheMap(int, solver::JobContext&) override {
    ASSIGN_OR_RETURN(solver::CacheMap map,
                     FileCacheMap(vertex_->op->file(), vertex_->inputs.size(), deps_.worker_id));
    KeepContentFailures(deps_.failed_steps, &map);
    return solver::CacheMapAnswer{std::move(map)};
  }
  StatusOr<std::vector<cache::Ref>> Exec(const std::vector<cache::Ref>& inputs,
                                         solver::JobContext& context) override {
    ASSIGN_OR_RETURN(StepLimit::Place place, deps_.limit->Acquire(context.stop()));
    return FileRun(deps_, vertex_->op->file(), vertex_->name, inputs, context).Run();
  }
  Pool pool() const override { return Pool::kDisk; }

 private:
  const OpDeps& deps_;
  VertexPtr vertex_;
};

}  // namespace

std::unique_ptr<solver::Op> MakeFileOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<FileOp>(deps, std::move(vertex));
}

}  // namespace kiln::worker
