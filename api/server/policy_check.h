// Asking a client whether a build may use a source.
#pragma once

#include "control/services.h"
#include "worker/client_session.h"

namespace kiln::api {

// Talks to the client's policy service until it decides; it may ask for metadata of the
// source, or replace it. `source "x" not allowed by policy: action DENY`.
Status CheckSourcePolicy(worker::SessionTable& sessions, const control::PolicyQuery& query);

}  // namespace kiln::api
