// What several commands of buildctl need: the connection, output by template,
// and how errors are shown.
#pragma once

#include <memory>
#include <string>

#include "api/client/client.h"
#include "base/status.h"
#include "cmd/buildctl/command.h"

namespace kiln::buildctl {

StatusOr<std::unique_ptr<api::Client>> Connect(const Invocation& call);

// The Dockerfile excerpts of the error's details and "error: …", on stderr.
void PrintFailure(const Status& status);
// The excerpts alone, as text.
std::string SourceExcerpts(const Status& status);

}  // namespace kiln::buildctl
