// A step without cache starts with empty cache mounts as well.
#pragma once

#include "base/status.h"
#include "control/services.h"
#include "llb/graph.h"

namespace kiln::control {

// Has the worker forget the cache mounts of the steps that ignore the cache.
Status ForgetCacheMounts(const llb::Edge& edge, const Services& services);

}  // namespace kiln::control
