// Entitlements and cache imports of a build.
#include "control/build_context.h"

#include <unordered_set>

#include "base/strings.h"
#include "control/cache_import.h"
#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

constexpr std::string_view kHostNetwork = "network.host";
constexpr std::string_view kInsecure = "security.insecure";
constexpr std::string_view kDevice = "device";

Status CheckOp(const pb::Op& op, const Entitlements& granted) {
  if (!op.has_exec()) return OkStatus();
  if (op.exec().network() == pb::NetMode::HOST && !granted.contains(kHostNetwork)) {
    return UnknownError(StrCat(kHostNetwork, " is not allowed"));
  }
  if (op.exec().security() == pb::SecurityMode::INSECURE && !granted.contains(kInsecure)) {
    return UnknownError(StrCat(kInsecure, " is not allowed"));
  }
  return OkStatus();
}

}  // namespace

StatusOr<Entitlements> GrantEntitlements(const std::vector<std::string>& wanted,
                                         const std::vector<std::string>& supported) {
  Entitlements granted;
  for (const std::string& want : wanted) {
    std::string_view name(want), rest;
    StrCut(want, "=", &name, &rest);
    // Only devices have settings after the name.
    std::string key(name == kDevice ? name : std::string_view(want));
    if (key != kHostNetwork && key != kInsecure && key != kDevice) {
      return UnknownError(StrCat("unknown entitlement ", key));
    }
    if (std::find(supported.begin(), supported.end(), key) == supported.end()) {
      return UnknownError(StrCat("granting entitlement ", key,
                                 " is not allowed by build daemon configuration"));
    }
    granted.insert(key);
  }
  return granted;
}

Status CheckEntitlements(const llb::Edge& edge, const Entitlements& granted) {
  if (edge.vertex == nullptr) return OkStatus();
  std::unordered_set<const llb::Vertex*> seen;
  std::vector<const llb::Vertex*> open = {edge.vertex.get()};
  while (!open.empty()) {
    const llb::Vertex* vertex = open.back();
    open.pop_back();
    if (!seen.insert(vertex).second) continue;
    RETURN_IF_ERROR(CheckOp(*vertex->op, granted));
    for (const llb::Edge& input : vertex->inputs) open.push_back(input.vertex.get());
  }
  return OkStatus();
}

std::shared_ptr<solver::CacheSource> BuildContext::CacheSourceFor(
    const frontend::CacheImport& import) {
  std::lock_guard lock(mutex_);
  auto [entry, added] = cache_sources_.try_emplace(CacheImportName(import));
  if (added) entry->second = NewCacheImport(import, services->caches, progress);
  return entry->second;
}

}  // namespace kiln::control
