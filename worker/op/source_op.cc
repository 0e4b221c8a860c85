// SourceOp: bytes from outside, by the scheme of the identifier.
#include <map>
#include <mutex>

#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/op_deps.h"
#include "worker/op/source_pins.h"

namespace kiln::worker {
namespace {

std::optional<Platform> PlatformOf(const pb::Op& op) {
  if (!op.has_platform()) {
    return std::nullopt;
  }
  const pb::Platform& platform = op.platform();
  return Platform{platform.os(), platform.architecture(), platform.variant(),
                  platform.osversion(),
                  {platform.osfeatures().begin(), platform.osfeatures().end()}};
}

class SourceOp : public solver::Op {
 public:
  SourceOp(const OpDeps& deps, VertexPtr vertex) : deps_(deps), vertex_(std::move(vertex)) {}
  ~SourceOp() override { deps_.pins->Drop(vertex_->digest, this); }

  StatusOr<solver::CacheMapAnswer> GetCacheMap(int index, solver::JobContext& context) override {
    ASSIGN_OR_RETURN(SourceInstance * instance, Instance());
    ASSIGN_OR_RETURN(SourceInstance::Key key, instance->CacheKey(index, context));
    deps_.pins->Set(vertex_->digest, this, {std::move(key.pin), std::move(key.url)});
    Digest digest = Digest::Of(StrCat("buildkit.source.v0:", key.key));
    if (key.key.starts_with("session:")) {
      // Never found by an exported cache: what a client sends is known by content only.
      digest = Digest::Trusted(StrCat("random:", digest.hex()));
    }
    return solver::CacheMapAnswer{{std::move(digest), {}}, key.complete};
  }

  StatusOr<std::vector<cache::Ref>> Exec(const std::vector<cache::Ref>&,
                                         solver::JobContext& context) override {
    ASSIGN_OR_RETURN(StepLimit::Place place, deps_.limit->Acquire(context.stop()));
    ASSIGN_OR_RETURN(SourceInstance * instance, Instance());
    ASSIGN_OR_RETURN(cache::Ref ref, instance->Snapshot(context));
    std::vector<cache::Ref> out;
    out.push_back(std::move(ref));
    return out;
  }

  Pool pool() const override { return Pool::kNetwork; }

 private:
  StatusOr<SourceInstance*> Instance() {
    std::lock_guard lock(mutex_);
    if (instance_ != nullptr) {
      return instance_.get();
    }
    const pb::SourceOp& source = vertex_->op->source();
    std::string_view scheme, reference;
    if (!StrCut(source.identifier(), "://", &scheme, &reference)) {
      return InvalidArgumentError(StrCat("failed to parse ", source.identifier(), ": invalid"));
    }
    Source* handler = deps_.find_source(scheme);
    if (handler == nullptr) {
      return NotFoundError(StrCat("unknown scheme ", scheme, ": not found"));
    }
    std::map<std::string, std::string> attrs(source.attrs().begin(), source.attrs().end());
    ASSIGN_OR_RETURN(instance_,
                     handler->Resolve(scheme, reference, attrs, PlatformOf(*vertex_->op)));
    return instance_.get();
  }

  const OpDeps& deps_;
  VertexPtr vertex_;
  std::mutex mutex_;
  std::unique_ptr<SourceInstance> instance_;
};

}  // namespace

std::unique_ptr<solver::Op> MakeSourceOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<SourceOp>(deps, std::move(vertex));
}

}  // namespace kiln::worker
