// BuildRequest: one build as asked for, checked and free of wire types.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/bridge.h"

namespace kiln::control {

struct OutputRequest {
  std::string type;
  frontend::StringMap attrs;
};

struct CacheExportRequest {
  std::string type;
  frontend::StringMap attrs;
};

// A build of a definition, of a frontend, or (neither) driven by its client
// through the LLBBridge service.
struct BuildRequest {
  std::string id;       // SolveRequest.Ref
  std::string session;
  frontend::DefinitionPtr definition;
  std::string frontend;
  frontend::StringMap frontend_opts;
  std::map<std::string, frontend::DefinitionPtr> frontend_inputs;
  std::vector<OutputRequest> outputs;
  bool session_exporter = false;
  std::vector<CacheExportRequest> cache_exports;
  std::vector<frontend::CacheImport> cache_imports;
  std::vector<std::string> entitlements;
  std::string source_policy;          // serialised; may be empty
  std::string source_policy_session;
  int compatibility_version = 30;
  bool internal = false;              // kept out of the history
  bool proxy_network = false;
  bool explain = false;               // steps say why they run

  bool client_driven() const { return definition == nullptr && frontend.empty(); }
};

using BuildResponse = frontend::StringMap;

}  // namespace kiln::control
