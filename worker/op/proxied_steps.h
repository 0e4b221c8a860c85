// ProxiedSteps: what the steps of running builds fetched through the proxy. Nothing is known
// of steps that did not run because their result was there.
#pragma once

#include <memory>

#include "worker/op/vertex_notes.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::worker {

class ProxiedSteps : public VertexNotes<std::shared_ptr<const proxy::ProxyCapture>> {};

}  // namespace kiln::worker
