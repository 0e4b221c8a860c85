// Ops that only rearrange what there is: merge, diff, passthrough, build.
#include <fcntl.h>
#include <unistd.h>

#include "base/rooted.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"
#include "worker/op/op_deps.h"

namespace kiln::worker {
namespace {

using Refs = std::vector<cache::Ref>;

class GraphOp : public solver::Op {
 public:
  GraphOp(const OpDeps& deps, VertexPtr vertex) : deps_(deps), vertex_(std::move(vertex)) {}
  Pool pool() const override { return Pool::kDisk; }
  bool HasQuickMap() const override { return true; }

 protected:
  const pb::Op& op() const { return *vertex_->op; }
  cache::RecordOptions Record() const { return {.description = vertex_->name}; }
  static Refs One(cache::Ref ref) {
    Refs out;
    out.push_back(std::move(ref));
    return out;
  }

  const OpDeps& deps_;
  VertexPtr vertex_;
};

class MergeOp : public GraphOp {
 public:
  using GraphOp::GraphOp;
  StatusOr<solver::CacheMapAnswer> GetCacheMap(int, solver::JobContext&) override {
    return solver::CacheMapAnswer{
        PlainCacheMap("buildkit.merge.v0", "Merge", op().merge(), vertex_->inputs.size())};
  }
  StatusOr<Refs> Exec(const Refs& inputs, solver::JobContext&) override {
    std::vector<const cache::Ref*> refs;
    for (const cache::Ref& input : inputs) {
      if (!input.empty()) refs.push_back(&input);
    }
    if (refs.empty()) return One(cache::Ref());
    ASSIGN_OR_RETURN(cache::Ref merged, deps_.refs->Merge(refs, Record()));
    return One(std::move(merged));
  }
};

class DiffOp : public GraphOp {
 public:
  using GraphOp::GraphOp;
  StatusOr<solver::CacheMapAnswer> GetCacheMap(int, solver::JobContext&) override {
    return solver::CacheMapAnswer{
        PlainCacheMap("buildkit.diff.v0", "Diff", op().diff(), vertex_->inputs.size())};
  }
  StatusOr<Refs> Exec(const Refs& inputs, solver::JobContext&) override {
    size_t next = 0;
    ASSIGN_OR_RETURN(cache::Ref lower, Take(op().diff().lower().input(), "lower", inputs, &next));
    ASSIGN_OR_RETURN(cache::Ref upper, Take(op().diff().upper().input(), "upper", inputs, &next));
    if (lower.empty()) return One(std::move(upper));
    if (!upper.empty() && lower.id() == upper.id()) return One(cache::Ref());
    ASSIGN_OR_RETURN(cache::Ref diff, deps_.refs->Diff(lower, upper, Record()));
    return One(std::move(diff));
  }

 private:
  // Inputs are numbered by their place; -1 is an empty tree and takes none.
  static StatusOr<cache::Ref> Take(int64_t index, const char* which, const Refs& inputs,
                                   size_t* next) {
    if (index == -1) return cache::Ref();
    if (*next >= inputs.size()) {
      return InvalidArgumentError(StrCat("invalid ", which, " input index ", *next,
                                         " for diff op with ", inputs.size(), " inputs"));
    }
    return inputs[(*next)++].Clone();
  }
};

class PassthroughOp : public GraphOp {
 public:
  using GraphOp::GraphOp;
  StatusOr<solver::CacheMapAnswer> GetCacheMap(int, solver::JobContext&) override {
    return solver::CacheMapAnswer{PlainCacheMap("buildkit.passthrough.v0", "Passthrough",
                                                op().passthrough(), vertex_->inputs.size())};
  }
  StatusOr<Refs> Exec(const Refs& inputs, solver::JobContext&) override {
    Refs out;
    for (int64_t index : op().passthrough().outputs()) {
      if (index < 0 || static_cast<size_t>(index) >= inputs.size()) {
        return InvalidArgumentError(StrCat("invalid passthrough output input index ", index));
      }
      out.push_back(inputs[static_cast<size_t>(index)].Clone());
    }
    return out;
  }
};

// The definition lies in a file of an input; its result is this vertex's.
class BuildOp : public GraphOp {
 public:
  using GraphOp::GraphOp;
  Pool pool() const override { return Pool::kOwnThread; }
  StatusOr<solver::CacheMapAnswer> GetCacheMap(int, solver::JobContext&) override {
    return solver::CacheMapAnswer{
        PlainCacheMap("buildkit.build.v0", "Exec", op().build(), vertex_->inputs.size())};
  }
  StatusOr<Refs> Exec(const Refs& inputs, solver::JobContext& context) override {
    ASSIGN_OR_RETURN(std::string bytes, ReadDefinition(inputs, context));
    pb::Definition definition;
    if (!definition.ParseFromString(bytes)) {
      return InvalidArgumentError("failed to parse llb definition");
    }
    ASSIGN_OR_RETURN(llb::Edge edge, llb::LoadDefinition(definition));
    if (edge.vertex == nullptr) return One(cache::Ref());
    ASSIGN_OR_RETURN(cache::Ref ref, context.SubBuild(edge));
    return One(std::move(ref));
  }

 private:
  StatusOr<std::string> ReadDefinition(const Refs& inputs, solver::JobContext& context) const {
    const pb::BuildOp& build = op().build();
    if (build.builder() != -1) {
      return InvalidArgumentError("only LLB builder is currently allowed");
    }
    auto input = build.inputs().find("buildkit.llb.definition");
    if (input == build.inputs().end()) {
      return InvalidArgumentError("no llb definition input buildkit.llb.definition found");
    }
    const int64_t index = input->second.input();
    if (index < 0 || static_cast<size_t>(index) >= inputs.size()) {
      return InvalidArgumentError(StrCat("invalid index ", index));
    }
    auto name = build.attrs().find("llbbuild.filename");
    const std::string file =
        name == build.attrs().end() ? "buildkit.llb.definition" : name->second;
    ASSIGN_OR_RETURN(cache::MountLease lease,
                     inputs[static_cast<size_t>(index)].Mount(true, context.stop()));
    ASSIGN_OR_RETURN(cache::LocalMount mount,
                     cache::LocalMount::Open(std::move(lease), deps_.temp_dir));
    ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(mount.path()));
    StatusOr<std::string> bytes = tree.ReadFile(file, 16 << 20);
    if (!bytes.ok()) return Annotate(bytes.status(), StrCat("failed to open ", file));
    return bytes;
  }
};

}  // namespace

std::unique_ptr<solver::Op> MakeMergeOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<MergeOp>(deps, std::move(vertex));
}
std::unique_ptr<solver::Op> MakeDiffOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<DiffOp>(deps, std::move(vertex));
}
std::unique_ptr<solver::Op> MakePassthroughOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<PassthroughOp>(deps, std::move(vertex));
}
std::unique_ptr<solver::Op> MakeBuildOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<BuildOp>(deps, std::move(vertex));
}

}  // namespace kiln::worker
