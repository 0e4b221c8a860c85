// See build_flags.h; outputs are in output_flag.cc.
#include "cmd/buildctl/build_flags.h"

#include <limits.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>

#include "base/csv.h"
#include "base/log.h"

namespace kiln::buildctl {
namespace {

std::string Env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// "type=x,key=value…" into an entry; keys in lower case.
StatusOr<api::CacheEntry> ParseCache(const std::string& text, std::string_view flag) {
  api::CacheEntry entry;
  ASSIGN_OR_RETURN(std::vector<std::string> fields, CsvFields(text));
  for (const std::string& field : fields) {
    std::string_view key;
    std::string_view value;
    if (!StrCut(field, "=", &key, &value)) return UnknownError(StrCat("invalid value ", field));
    std::string name = ToLower(key);
    if (name == "type") {
      entry.type = std::string(value);
    } else {
      entry.attrs[name] = std::string(value);
    }
  }
  if (entry.type.empty()) return UnknownError(StrCat(flag, " requires type=<type>"));
  return entry;
}

// Address and token of GitHub's cache, from what its runners set.
Status FillGithub(api::CacheEntry& entry) {
  auto& attrs = entry.attrs;
  std::string version = attrs.contains("version") ? attrs["version"] : "";
  bool second = false;
  if (!attrs.contains("version") && ParseBool(Env("ACTIONS_CACHE_SERVICE_V2"), &second) && second) {
    version = "2";
  }
  auto fill = [&](const char* attr, const char* name) {
    if (!attrs.contains(attr) && std::getenv(name) != nullptr) attrs[attr] = Env(name);
  };
  if (version == "2") fill("url_v2", "ACTIONS_RESULTS_URL");
  fill("url", "ACTIONS_CACHE_URL");
  fill("url", "ACTIONS_RESULTS_URL");
  if (!attrs.contains("url") && !attrs.contains("url_v2")) {
    return UnknownError("cache with type gha requires url parameter to be set");
  }
  fill("token", "ACTIONS_RUNTIME_TOKEN");
  if (!attrs.contains("token")) {
    return UnknownError("cache with type gha requires token parameter or $ACTIONS_RUNTIME_TOKEN");
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::vector<api::CacheEntry>> ParseExportCaches(const std::vector<std::string>& values) {
  std::vector<api::CacheEntry> entries;
  for (const std::string& text : values) {
    if (!Contains(text, "type=")) {
      log::Warning(
          "--export-cache <ref> is deprecated. Please use --export-cache "
          "type=registry,ref=<ref>,<opt>=<optval>[,<opt>=<optval>] instead");
      entries.push_back({"registry", {{"mode", "min"}, {"ref", text}}});
      continue;
    }
    ASSIGN_OR_RETURN(api::CacheEntry entry, ParseCache(text, "--export-cache"));
    entry.attrs.emplace("mode", "min");
    if (entry.type == "gha") RETURN_IF_ERROR(FillGithub(entry));
    entries.push_back(std::move(entry));
  }
  return entries;
}

StatusOr<std::vector<api::CacheEntry>> ParseImportCaches(const std::vector<std::string>& values) {
  std::vector<api::CacheEntry> entries;
  for (const std::string& text : values) {
    if (!Contains(text, "type=")) {
      log::Warning(
          "--import-cache <ref> is deprecated. Please use --import-cache "
          "type=registry,ref=<ref>,<opt>=<optval>[,<opt>=<optval>] instead.");
      entries.push_back({"registry", {{"ref", text}}});
      continue;
    }
    ASSIGN_OR_RETURN(api::CacheEntry entry, ParseCache(text, "--import-cache"));
    if (entry.type == "gha") RETURN_IF_ERROR(FillGithub(entry));
    entries.push_back(std::move(entry));
  }
  return entries;
}

StatusOr<std::vector<api::SecretSource>> ParseSecrets(const std::vector<std::string>& values) {
  std::vector<api::SecretSource> secrets;
  for (const std::string& text : values) {
    StatusOr<std::vector<std::string>> fields = CsvFields(text);
    if (!fields.ok()) return Annotate(fields.status(), "failed to parse csv secret");
    api::SecretSource secret;
    std::string type;
    for (const std::string& field : *fields) {
      std::string_view key;
      std::string_view value;
      if (!StrCut(field, "=", &key, &value)) {
        return UnknownError(StrCat("invalid field '", field, "' must be a key=value pair"));
      }
      std::string name = ToLower(key);
      if (name == "type") {
        if (value != "file" && value != "env") {
          return UnknownError(StrCat("unsupported secret type ", Quote(value)));
        }
        type = std::string(value);
      } else if (name == "id") {
        secret.id = std::string(value);
      } else if (name == "source" || name == "src") {
        secret.file = std::string(value);
      } else if (name == "env") {
        secret.env = std::string(value);
      } else {
        return UnknownError(StrCat("unexpected key '", name, "' in '", field, "'"));
      }
    }
    if (type == "env" && secret.env.empty()) std::swap(secret.env, secret.file);
    secrets.push_back(std::move(secret));
  }
  return secrets;
}

StatusOr<std::vector<api::SshAgentSource>> ParseSsh(const std::vector<std::string>& values) {
  std::vector<api::SshAgentSource> agents;
  for (const std::string& text : values) {
    std::string_view id;
    std::string_view paths;
    bool has_paths = StrCut(text, "=", &id, &paths);
    api::SshAgentSource agent{std::string(id), {}, false};
    for (std::string_view path : has_paths ? StrSplit(paths, ',') : std::vector<std::string_view>()) {
      std::string_view key;
      std::string_view value;
      if (StrCut(path, "=", &key, &value) && key == "raw") {
        if (!ParseBool(value, &agent.raw)) {
          return UnknownError(StrCat("invalid value for 'raw': ", value,
                                     ": strconv.ParseBool: parsing ", Quote(value),
                                     ": invalid syntax"));
        }
      } else {
        agent.paths.emplace_back(path);
      }
    }
    if (agent.raw && agent.paths.size() != 1) {
      return UnknownError(
          StrCat("raw mode must supply exactly one socket path for ", Quote(agent.id)));
    }
    agents.push_back(std::move(agent));
  }
  return agents;
}

StatusOr<std::map<std::string, api::AuthTls>> ParseAuthTls(const std::vector<std::string>& values) {
  constexpr std::string_view kFlag = "--registry-auth-tlscontext requires ";
  std::map<std::string, api::AuthTls> out;
  for (const std::string& text : values) {
    ASSIGN_OR_RETURN(std::vector<std::string> fields, CsvFields(text));
    std::map<std::string, std::string> attrs;
    for (const std::string& field : fields) {
      std::string_view key;
      std::string_view value;
      if (!StrCut(field, "=", &key, &value)) return UnknownError(StrCat("invalid value ", field));
      attrs[ToLower(key)] = std::string(value);
    }
    bool insecure = false;
    ParseBool(attrs["insecure"], &insecure);
    if (attrs["host"].empty()) return UnknownError(StrCat(kFlag, "host=<host>"));
    bool pair = !attrs["cert"].empty() && !attrs["key"].empty();
    if (attrs["ca"].empty()) {
      if (!insecure && !pair) {
        return UnknownError(StrCat(kFlag, "ca=<ca> or cert=<cert>,key=<key> or insecure=true"));
      }
    } else if (attrs["cert"].empty() != attrs["key"].empty()) {
      return UnknownError(StrCat(kFlag, "cert=<cert>,key=<key>"));
    }
    api::AuthTls& tls = out[attrs["host"]];
    tls.insecure = tls.insecure || insecure;
    if (!attrs["ca"].empty()) tls.root_cas.push_back(attrs["ca"]);
    if (pair) tls.key_pairs.emplace_back(attrs["cert"], attrs["key"]);
  }
  return out;
}

StatusOr<std::map<std::string, std::string>> ParseAttrs(const std::vector<std::string>& values) {
  std::map<std::string, std::string> attrs;
  for (const std::string& text : values) {
    std::string_view key;
    std::string_view value;
    if (!StrCut(text, "=", &key, &value)) return UnknownError(StrCat("invalid value ", text));
    attrs[std::string(key)] = std::string(value);
  }
  return attrs;
}

StatusOr<std::map<std::string, std::string>> ParseOpts(const std::vector<std::string>& values) {
  ASSIGN_OR_RETURN(auto attrs, ParseAttrs(values));
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"); epoch != nullptr) {
    attrs.emplace("build-arg:SOURCE_DATE_EPOCH", epoch);
  }
  return attrs;
}

StatusOr<std::map<std::string, std::string>> ParseLocals(const std::vector<std::string>& values) {
  ASSIGN_OR_RETURN(auto dirs, ParseAttrs(values));
  for (const auto& [name, dir] : dirs) {
    std::string path = dir.empty() ? "." : dir;
    struct stat st{};
    char resolved[PATH_MAX];
    if (::realpath(path.c_str(), resolved) == nullptr) {
      return ErrnoStatus(errno, StrCat("resolve : lstat ", path));
    }
    if (::stat(resolved, &st) != 0) return ErrnoStatus(errno, StrCat("stat ", path));
    if (!S_ISDIR(st.st_mode)) return ErrnoStatus(ENOTDIR, StrCat("stat ", path));
  }
  return dirs;
}

StatusOr<std::map<std::string, std::string>> ParseOciLayouts(
    const std::vector<std::string>& values) {
  std::map<std::string, std::string> dirs;
  for (const std::string& text : values) {
    std::string_view id;
    std::string_view dir;
    if (!StrCut(text, "=", &id, &dir)) {
      return UnknownError(StrCat(
          "oci-layout option must be 'id=path/to/layout', instead had invalid ", text));
    }
    dirs[std::string(id)] = std::string(dir);
  }
  return dirs;
}

Status CheckAllow(const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    std::vector<std::string> fields = CsvFields(value).value_or({value});
    std::string name = fields.empty() ? "" : fields.front();
    bool device = name == "device" || name.starts_with("device=");
    if (!device && value != "network.host" && value != "security.insecure") {
      return UnknownError(StrCat("unknown entitlement ", value));
    }
  }
  return OkStatus();
}

}  // namespace kiln::buildctl
