// Cache imports and exports of a build: checks, and the local folders behind
// type=local.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/client/build.h"
#include "base/status.h"

namespace kiln::api {

struct CachePlan {
  std::vector<CacheEntry> exports;
  std::vector<CacheEntry> imports;
  std::map<std::string, std::string> stores;         // store id → folder
  std::map<std::string, std::string> tags;           // folder to update → tag
  std::vector<std::string> reset;                    // folders to clear of other blobs
  std::vector<std::string> warnings;                 // for the log
};

// Makes the folders of exports. A local import that cannot be used is left out
// with a warning. Error texts are the reference's.
StatusOr<CachePlan> PlanCache(const std::vector<CacheEntry>& exports,
                              const std::vector<CacheEntry>& imports);
// The "cache-imports" attribute of a frontend.
std::string CacheImportsJson(const std::vector<CacheEntry>& imports);
// Removes blobs that no manifest of index.json reaches.
Status ResetCacheFolder(const std::string& dir);

}  // namespace kiln::api
