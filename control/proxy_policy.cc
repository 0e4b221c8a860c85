// A request is judged as if its address were a source of the build.
#include "control/proxy_policy.h"

#include "control/bridge.h"
#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

using worker::proxy::PolicyAnswer;

StatusOr<PolicyAnswer> Judge(const std::vector<BuildContextPtr>& builds, const std::string& url) {
  pb::Op op;
  op.mutable_source()->set_identifier(url);
  for (const BuildContextPtr& build : builds) {
    BuildBridge bridge(build, nullptr, {}, {});
    RETURN_IF_ERROR(bridge.ApplyPolicies(&op, build->stop.get_token()));
  }
  return PolicyAnswer{op.source().identifier(), op.source().attrs_size() > 0};
}

}  // namespace

worker::proxy::ProxyPolicy ProxyPolicyOf(std::vector<BuildContextPtr> builds) {
  std::erase_if(builds, [](const BuildContextPtr& build) {
    return build->request.source_policy.empty() && build->request.source_policy_session.empty();
  });
  if (builds.empty()) return {};
  return [builds = std::move(builds)](const std::string& url) { return Judge(builds, url); };
}

}  // namespace kiln::control
