// Subrequests: questions about a Dockerfile that need no build: its outline, its
// targets, its lint findings, its LLB as JSON.
#pragma once

#include <string>

#include "base/status.h"
#include "frontend/bridge.h"
#include "frontend/dockerfile/convert/convert.h"
#include "frontend/dockerfile/ui/client.h"

namespace kiln::dockerfile {

// Answers the "requestid" attribute. UNKNOWN "unsupported request …".
StatusOr<frontend::Result> AnswerSubrequest(Client& client, const ConvertOptions& options);

}  // namespace kiln::dockerfile
