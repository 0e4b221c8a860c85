// See docker_config.h.
#include "api/client/docker_config.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/process.h"

namespace kiln::api {
namespace {

using nlohmann::json;

constexpr std::string_view kHubKey = "https://index.docker.io/v1/";

std::string Text(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json* Member(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_object() ? &*found : nullptr;
}

// "https://host/v1/" and "host" name the same registry.
std::string HostOf(std::string_view key) {
  key = TrimPrefix(TrimPrefix(key, "https://"), "http://");
  return std::string(key.substr(0, key.find('/')));
}

std::string HelperFor(const json& config, const std::string& key) {
  if (const json* helpers = Member(config, "credHelpers")) {
    std::string name = Text(*helpers, key.c_str());
    if (!name.empty()) return name;
  }
  return Text(config, "credsStore");
}

StatusOr<DockerCredentials> AskHelper(const std::string& helper, const std::string& key) {
  ProcessOptions options;
  ASSIGN_OR_RETURN(std::string program, LookPath("docker-credential-" + helper));
  options.argv = {program, "get"};
  options.env = OwnEnvironment();
  ASSIGN_OR_RETURN(CommandOutput output, RunCommand(std::move(options), key, {}));
  if (output.exit_code != 0) {
    if (Contains(output.out, "credentials not found")) return DockerCredentials();
    return UnknownError(StrCat("error getting credentials - err: exit status ", output.exit_code,
                               ", out: `", TrimSpace(output.out), "`"));
  }
  json answer = json::parse(output.out, nullptr, false);
  if (!answer.is_object()) return UnknownError("error getting credentials: invalid answer");
  DockerCredentials credentials;
  credentials.username = Text(answer, "Username");
  credentials.secret = Text(answer, "Secret");
  if (credentials.username == "<token>") credentials.username.clear();
  return credentials;
}

DockerCredentials FromEntry(const json& entry) {
  DockerCredentials credentials;
  credentials.username = Text(entry, "username");
  credentials.secret = Text(entry, "password");
  std::string decoded;
  if (Base64Decode(Text(entry, "auth"), &decoded) && Contains(decoded, ":")) {
    std::string_view user;
    std::string_view password;
    StrCut(decoded, ":", &user, &password);
    credentials.username = std::string(user);
    while (!password.empty() && password.back() == '\0') password.remove_suffix(1);
    credentials.secret = std::string(password);
  }
  credentials.registry_token = Text(entry, "registrytoken");
  std::string identity = Text(entry, "identitytoken");
  if (!identity.empty()) {
    credentials.username.clear();
    credentials.secret = identity;
  }
  return credentials;
}

}  // namespace

std::string DockerConfigDir() {
  if (const char* dir = std::getenv("DOCKER_CONFIG"); dir != nullptr && *dir != '\0') return dir;
  const char* home = std::getenv("HOME");
  return StrCat(home == nullptr ? "" : home, "/.docker");
}

StatusOr<DockerCredentials> CredentialsFor(const std::string& host) {
  StatusOr<std::string> text = ReadFile(DockerConfigDir() + "/config.json");
  if (!text.ok()) return DockerCredentials();
  json config = json::parse(*text, nullptr, false);
  if (!config.is_object()) return DockerCredentials();
  std::string key = host == "registry-1.docker.io" ? std::string(kHubKey) : host;
  std::string helper = HelperFor(config, key);
  if (!helper.empty()) return AskHelper(helper, key);
  const json* auths = Member(config, "auths");
  if (auths == nullptr) return DockerCredentials();
  if (const json* entry = Member(*auths, key.c_str())) return FromEntry(*entry);
  for (const auto& [name, entry] : auths->items()) {
    if (entry.is_object() && HostOf(name) == HostOf(key)) return FromEntry(entry);
  }
  return DockerCredentials();
}

}  // namespace kiln::api
