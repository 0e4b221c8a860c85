// Build: one build from request to result, driven as the reference's buildctl does.
//
// The daemon holds Control.Solve open while the client asks the gateway
// (LLBBridge) for the result and returns it; progress comes by Control.Status,
// files and secrets go by the session.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "api/client/attachments.h"
#include "api/client/client.h"
#include "base/status.h"

namespace kiln::api {

struct CacheEntry {
  std::string type;
  std::map<std::string, std::string> attrs;
};

struct ExportEntry {
  std::string type;
  std::map<std::string, std::string> attrs;
  std::shared_ptr<UniqueFd> file;  // tar, oci, docker
  std::string dir;                 // local, and oci with tar=false
};

struct BuildRequest {
  std::string ref;  // id of the build
  std::string frontend;
  std::map<std::string, std::string> frontend_attrs;
  std::string definition;  // serialized pb.Definition; without a frontend
  std::vector<ExportEntry> exports;
  std::vector<CacheEntry> cache_exports;
  std::vector<CacheEntry> cache_imports;
  std::vector<std::string> entitlements;
  std::string source_policy;  // serialized sourcepolicy.Policy; may be empty
  bool proxy_network = false;
  bool explain = false;                      // Kiln: steps say why they run
  std::string shared_key;
  std::map<std::string, std::string> local_dirs;
  std::map<std::string, std::string> oci_layouts;
  std::vector<Attachment> attachments;  // secrets, agents, credentials …
  // What attachments tell of their own steps ("[auth] …"); set before Build, shared with them.
  std::shared_ptr<std::function<void(const std::string&)>> on_own_step =
      std::make_shared<std::function<void(const std::string&)>>();
};

struct BuildResult {
  std::map<std::string, std::string> exporter_response;
  // Metadata of the result of a subrequest ("result.txt" …).
  std::map<std::string, std::string> metadata;
};

// Blocking; uses threads of its own. `on_status` is called from one of them, not
// after Build has returned. A stop request ends with "context canceled".
StatusOr<BuildResult> Build(Client& client, BuildRequest request,
                            const std::function<void(SolveStatus)>& on_status,
                            const std::function<void(const std::string&)>& on_warning,
                            std::stop_token stop);

}  // namespace kiln::api
