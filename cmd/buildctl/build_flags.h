// Values of build's flags: outputs, caches, secrets, agents, folders.
//
// Error texts are the reference's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/client/build.h"
#include "base/status.h"

namespace kiln::buildctl {

// Creates the files of outputs at once, as the reference does.
StatusOr<std::vector<api::ExportEntry>> ParseOutputs(const std::vector<std::string>& values);
StatusOr<std::vector<api::CacheEntry>> ParseExportCaches(const std::vector<std::string>& values);
StatusOr<std::vector<api::CacheEntry>> ParseImportCaches(const std::vector<std::string>& values);
StatusOr<std::vector<api::SecretSource>> ParseSecrets(const std::vector<std::string>& values);
StatusOr<std::vector<api::SshAgentSource>> ParseSsh(const std::vector<std::string>& values);
StatusOr<std::map<std::string, api::AuthTls>> ParseAuthTls(const std::vector<std::string>& values);
// "key=value" each.
StatusOr<std::map<std::string, std::string>> ParseAttrs(const std::vector<std::string>& values);
// Frontend options, with SOURCE_DATE_EPOCH of the environment.
StatusOr<std::map<std::string, std::string>> ParseOpts(const std::vector<std::string>& values);
StatusOr<std::map<std::string, std::string>> ParseLocals(const std::vector<std::string>& values);
StatusOr<std::map<std::string, std::string>> ParseOciLayouts(
    const std::vector<std::string>& values);
Status CheckAllow(const std::vector<std::string>& values);

}  // namespace kiln::buildctl
