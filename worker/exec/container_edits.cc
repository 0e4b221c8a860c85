#include "worker/exec/container_edits.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::ordered_json;

auto Depth(const SpecMount& mount) {
  const std::string path = CleanPath(mount.destination);
  return std::count(path.begin(), path.end(), '/');
}

void SetEnv(const std::vector<std::string>& edits, ordered_json* process) {
  ordered_json& env = (*process)["env"];
  for (const std::string& entry : edits) {
    const std::string name = entry.substr(0, entry.find('=') + 1);
    auto known = std::find_if(env.begin(), env.end(), [&](const ordered_json& item) {
      return item.get<std::string>().starts_with(name);
    });
    if (known == env.end()) {
      env.push_back(entry);
    } else {
      *known = entry;
    }
  }
}

// An owner that a device leaves open is the step's user, unless that is root.
void AddOwner(const char* key, const std::optional<uint32_t>& own, const ordered_json& user,
              ordered_json* device) {
  uint32_t id = own ? *own : user.value(key, 0U);
  if (own || id != 0) (*device)[key] = id;
}

void AddDevice(const cdi::DeviceNode& node, ordered_json* spec) {
  ordered_json& linux_part = (*spec)["linux"];
  ordered_json device = {
      {"path", node.path}, {"type", node.type}, {"major", node.major}, {"minor", node.minor}};
  if (node.file_mode) device["fileMode"] = *node.file_mode;
  const ordered_json& user = (*spec)["process"]["user"];
  AddOwner("uid", node.uid, user, &device);
  AddOwner("gid", node.gid, user, &device);
  ordered_json& devices = linux_part["devices"];
  if (devices.is_null()) devices = ordered_json::array();
  for (size_t i = devices.size(); i-- > 0;) {
    if (devices[i]["path"] == node.path) devices.erase(i);
  }
  devices.push_back(std::move(device));
  // Rootless specs have no resources.
  if ((node.type == "b" || node.type == "c") && linux_part.contains("resources")) {
    linux_part["resources"]["devices"].push_back(
        {{"allow", true},
         {"type", node.type},
         {"major", node.major},
         {"minor", node.minor},
         {"access", node.permissions.empty() ? "rwm" : node.permissions}});
  }
}

void AddHook(const cdi::Hook& hook, ordered_json* spec) {
  ordered_json entry = {{"path", hook.path}};
  if (!hook.args.empty()) entry["args"] = hook.args;
  if (!hook.env.empty()) entry["env"] = hook.env;
  if (hook.timeout) entry["timeout"] = *hook.timeout;
  (*spec)["hooks"][hook.name].push_back(std::move(entry));
}

ordered_json IntelRdtJson(const cdi::IntelRdt& rdt) {
  ordered_json out = ordered_json::object();
  if (!rdt.clos_id.empty()) out["closID"] = rdt.clos_id;
  if (!rdt.schemata.empty()) out["schemata"] = rdt.schemata;
  if (!rdt.l3_cache_schema.empty()) out["l3CacheSchema"] = rdt.l3_cache_schema;
  if (!rdt.mem_bw_schema.empty()) out["memBwSchema"] = rdt.mem_bw_schema;
  if (rdt.enable_monitoring) out["enableMonitoring"] = true;
  return out;
}

}  // namespace

void EditMounts(const cdi::ContainerEdits& edits, std::vector<SpecMount>* mounts) {
  if (edits.mounts.empty()) return;
  for (const cdi::EditMount& mount : edits.mounts) {
    std::erase_if(*mounts, [&](const SpecMount& known) {
      return known.destination == mount.container_path;
    });
    mounts->push_back({mount.container_path, {mount.type, mount.host_path, mount.options}});
  }
  std::stable_sort(mounts->begin(), mounts->end(), [](const SpecMount& a, const SpecMount& b) {
    return Depth(a) < Depth(b);
  });
}

void EditSpec(const cdi::ContainerEdits& edits, ordered_json* spec) {
  if (!edits.env.empty()) SetEnv(edits.env, &(*spec)["process"]);
  for (const cdi::DeviceNode& node : edits.device_nodes) AddDevice(node, spec);
  for (const cdi::NetDevice& device : edits.net_devices) {
    (*spec)["linux"]["netDevices"][device.host_interface] = {{"name", device.name}};
  }
  for (const cdi::Hook& hook : edits.hooks) AddHook(hook, spec);
  if (edits.intel_rdt) (*spec)["linux"]["intelRdt"] = IntelRdtJson(*edits.intel_rdt);
  ordered_json& gids = (*spec)["process"]["user"]["additionalGids"];
  for (uint32_t gid : edits.additional_gids) {
    if (gid != 0 && std::find(gids.begin(), gids.end(), gid) == gids.end()) gids.push_back(gid);
  }
}

}  // namespace kiln::worker::exec
