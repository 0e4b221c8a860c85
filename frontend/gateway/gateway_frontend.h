// gateway.v0: the frontend that is an image, named by the option "source".
//
// Here the image is found and what it starts with is put together; the process and
// its gRPC connection are api/server's (stdio_frontend.h), through RunImage.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "frontend/bridge.h"

namespace kiln::frontend::gateway {

// What is started.
struct FrontendProcess {
  ReferencePtr root;
  DefinitionPtr definition;  // of the root
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  bool no_network = false;
};

// Runs the process and serves it the bridge until it ends. Blocks.
using RunImage =
    std::function<StatusOr<Result>(Bridge& bridge, const FrontendProcess& process,
                                   std::stop_token stop)>;

struct GatewayOptions {
  RunImage run;
  // Repositories without tags ("docker/dockerfile"); empty: all are allowed.
  std::vector<std::string> allowed_repositories = {};
  // References with wildcards ("docker/dockerfile:1*") that the built-in dockerfile.v0
  // answers instead of an image; docker.io and library/ may be left out.
  std::vector<std::string> built_in = {};
};

// UNKNOWN in the reference's words for repositories that cannot be parsed.
StatusOr<std::unique_ptr<Frontend>> NewFrontend(GatewayOptions options);

}  // namespace kiln::frontend::gateway
