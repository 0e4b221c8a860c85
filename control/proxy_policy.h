// ProxyPolicyOf: what builds think of the requests that their steps make through the proxy.
#pragma once

#include <vector>

#include "control/build_context.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::control {

// Asks the policies of each build in turn; empty if none of them has any.
worker::proxy::ProxyPolicy ProxyPolicyOf(std::vector<BuildContextPtr> builds);

}  // namespace kiln::control
