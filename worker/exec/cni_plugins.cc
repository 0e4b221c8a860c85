#include "worker/exec/cni_plugins.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::json;

struct Network {
  std::string name;
  std::string version;
  std::string interface;
  std::vector<json> plugins;
};

// A text member; `fallback` if it is absent or no text (json::value would throw).
std::string Text(const json& object, const char* key, const std::string& fallback) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : fallback;
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

StatusOr<Network> ParseNetwork(std::string_view text, const std::string& what) {
  json document = json::parse(text, nullptr, false);
  if (!document.is_object()) {
    return InvalidArgumentError(StrCat("cni config ", what, " is no JSON object"));
  }
  Network network{.name = Text(document, "name", ""),
                  .version = Text(document, "cniVersion", "0.1.0"),
                  .interface = "eth0",
                  .plugins = {}};
  if (document.contains("plugins") && document["plugins"].is_array()) {
    for (const json& plugin : document["plugins"]) network.plugins.push_back(plugin);
  } else {
    network.plugins.push_back(document);
  }
  for (const json& plugin : network.plugins) {
    if (!plugin.is_object() || !plugin.contains("type") || !plugin["type"].is_string()) {
      return InvalidArgumentError(StrCat("cni config ", what, ": plugin without a type"));
    }
  }
  return network;
}

}  // namespace

struct CniPlugins::State {
  std::vector<Network> networks;  // the configured one is last
  std::vector<std::string> folders;

  StatusOr<std::string> Find(const std::string& type) const {
    if (type.find('/') != std::string::npos) {
      return InvalidArgumentError(StrCat("bad cni plugin type ", Quote(type)));
    }
    for (const std::string& folder : folders) {
      std::string path = JoinPath(folder, type);
      if (PathExists(path)) return path;
    }
    return NotFoundError(StrCat("failed to find plugin ", Quote(type), " in path [",
                                StrJoin(folders, " "), "]"));
  }

  StatusOr<json> Call(const Network& network, json plugin, const char* command,
                      const CniSandbox& sandbox, const json& previous) const {
    plugin["name"] = network.name;
    plugin["cniVersion"] = network.version;
    if (!previous.is_null()) plugin["prevResult"] = previous;
    const std::string type = plugin["type"].get<std::string>();
    ProcessOptions options;
    ASSIGN_OR_RETURN(std::string program, Find(type));
    options.argv = {program};
    options.env = {StrCat("CNI_COMMAND=", command), StrCat("CNI_CONTAINERID=", sandbox.id),
                   StrCat("CNI_NETNS=", sandbox.path), StrCat("CNI_IFNAME=", network.interface),
                   StrCat("CNI_PATH=", StrJoin(folders, ":")),
                   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    if (!sandbox.hostname.empty()) {
      options.env.push_back(
          StrCat("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=", sandbox.hostname));
    }
    ASSIGN_OR_RETURN(CommandOutput output, RunCommand(options, Dump(plugin), {}));
    json result = json::parse(output.out, nullptr, false);
    if (output.exit_code != 0) {
      std::string reason = result.is_object() ? Text(result, "msg", output.err) : output.err;
      return UnknownError(StrCat("plugin type=", Quote(type), " failed (",
                                 command[0] == 'A' ? "add" : "delete", "): ", reason));
    }
    return result.is_object() ? result : json();
  }

  StatusOr<json> Add(const Network& network, const CniSandbox& sandbox) const {
    json previous;
    for (const json& plugin : network.plugins) {
      StatusOr<json> result = Call(network, plugin, "ADD", sandbox, previous);
      if (!result.ok()) {
        Delete(network, sandbox, previous);
        return Annotate(result.status(), "CNI setup error");
      }
      previous = *std::move(result);
    }
    return previous;
  }

  void Delete(const Network& network, const CniSandbox& sandbox, const json& result) const {
    // Plugins of older versions do not know results at this place.
    const bool told = !network.version.starts_with("0.1.") &&
                      !network.version.starts_with("0.2.") &&
                      !network.version.starts_with("0.3.");
    for (auto plugin = network.plugins.rbegin(); plugin != network.plugins.rend(); ++plugin) {
      StatusOr<json> done = Call(network, *plugin, "DEL", sandbox, told ? result : json());
      if (!done.ok()) log::Warning(StrCat("cni delete: ", done.status().message()));
    }
  }
};

CniPlugins::CniPlugins(std::unique_ptr<State> state) : state_(std::move(state)) {}
CniPlugins::~CniPlugins() = default;

StatusOr<std::unique_ptr<CniPlugins>> CniPlugins::Parse(std::string_view config,
                                                        const std::string& what,
                                                        std::vector<std::string> folders,
                                                        bool loopback) {
  auto state = std::make_unique<State>();
  if (loopback) {
    state->networks.push_back({"cni-loopback", "0.3.1", "lo", {json{{"type", "loopback"}}}});
  }
  ASSIGN_OR_RETURN(Network network, ParseNetwork(config, what));
  state->networks.push_back(std::move(network));
  state->folders = std::move(folders);
  return std::unique_ptr<CniPlugins>(new CniPlugins(std::move(state)));
}

StatusOr<std::string> CniPlugins::Add(const CniSandbox& sandbox) const {
  json last;
  for (size_t i = 0; i < state_->networks.size(); ++i) {
    StatusOr<json> result = state_->Add(state_->networks[i], sandbox);
    if (!result.ok()) {
      while (i-- > 0) state_->Delete(state_->networks[i], sandbox, {});
      return result.status();
    }
    last = *std::move(result);
  }
  return Dump(last);
}

void CniPlugins::Delete(const CniSandbox& sandbox, std::string_view result) const {
  json parsed = json::parse(result, nullptr, false);
  if (!parsed.is_object()) parsed = json();
  for (size_t i = state_->networks.size(); i-- > 0;) {
    const bool last = i + 1 == state_->networks.size();
    state_->Delete(state_->networks[i], sandbox, last ? parsed : json());
  }
}

}  // namespace kiln::worker::exec
