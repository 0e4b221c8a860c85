#include "control/cache_mount_reset.h"

#include <map>
#include <unordered_set>
#include <vector>

#include "llb/proto/ops.pb.h"
#include "worker/op/cache_mounts.h"
#include "worker/worker.h"

namespace kiln::control {
namespace {

// By id: whether one of the mounts is over a tree.
using Ids = std::map<std::string, bool>;

void AddIds(const llb::Vertex& vertex, Ids* ids) {
  if (!vertex.metadata->ignore_cache() || !vertex.op->has_exec()) return;
  for (const pb::Mount& mount : vertex.op->exec().mounts()) {
    if (mount.mounttype() != pb::CACHE || !mount.has_cacheopt()) continue;
    const std::string& id = mount.cacheopt().id();
    (*ids)[id.empty() ? mount.dest() : id] |= mount.input() != -1;
  }
}

}  // namespace

Status ForgetCacheMounts(const llb::Edge& edge, const Services& services) {
  if (edge.vertex == nullptr) return OkStatus();
  Ids ids;
  std::unordered_set<const llb::Vertex*> seen;
  std::vector<const llb::Vertex*> open = {edge.vertex.get()};
  while (!open.empty()) {
    const llb::Vertex* vertex = open.back();
    open.pop_back();
    if (!seen.insert(vertex).second) continue;
    AddIds(*vertex, &ids);
    for (const llb::Edge& input : vertex->inputs) open.push_back(input.vertex.get());
  }
  for (const auto& [id, seeded] : ids) {
    RETURN_IF_ERROR(services.worker->cache_mounts().Forget(id, seeded));
  }
  return OkStatus();
}

}  // namespace kiln::control
