// From JSON to CdiSpec, strict as Go's decoder with unknown fields disallowed.
#include "worker/cdi/cdi_spec.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "worker/cdi/cdi_check.h"
#include "worker/cdi/yaml_json.h"

namespace kiln::worker::cdi {
namespace {

using nlohmann::json;

// Reads the members of one object; the first fault stays.
class Members {
 public:
  Members(const json& object, std::string type, Status* status)
      : object_(object), type_(std::move(type)), status_(*status) {
    if (!object.is_object() && !object.is_null()) Wrong("", "object");
  }
  ~Members() {
    if (!object_.is_object()) return;
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key)) Fail(StrCat("json: unknown field ", Quote(key)));
    }
  }
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  void Get(const char* key, std::string* out) {
    if (const json* value = Find(key)) {
      if (!TextOf(*value, out)) Wrong(key, "string");
    }
  }
  void Get(const char* key, bool* out) {
    if (const json* value = Find(key)) {
      if (!value->is_boolean()) return Wrong(key, "bool");
      *out = value->get<bool>();
    }
  }
  void Get(const char* key, int64_t* out) {
    if (const json* value = Find(key)) {
      if (!value->is_number_integer()) return Wrong(key, "int64");
      *out = value->get<int64_t>();
    }
  }
  void Get(const char* key, std::optional<int64_t>* out) {
    if (Find(key) != nullptr) Get(key, &out->emplace());
  }
  void Get(const char* key, std::optional<uint32_t>* out) {
    if (const json* value = Find(key)) {
      if (!IsUint32(*value)) return Wrong(key, "uint32");
      *out = value->get<uint32_t>();
    }
  }
  void Get(const char* key, std::vector<std::string>* out) {
    Each(key, [&](const json& item) {
      if (!TextOf(item, &out->emplace_back())) Wrong(key, "string");
    });
  }
  void Get(const char* key, std::vector<uint32_t>* out) {
    Each(key, [&](const json& item) {
      if (!IsUint32(item)) return Wrong(key, "uint32");
      out->push_back(item.get<uint32_t>());
    });
  }
  void Get(const char* key, std::map<std::string, std::string>* out) {
    const json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_object()) return Wrong(key, "map[string]string");
    for (const auto& [name, text] : value->items()) {
      if (!TextOf(text, &(*out)[name])) return Wrong(key, "string");
    }
  }
  template <typename Use>
  void Each(const char* key, const Use& use) {
    const json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_array()) return Wrong(key, "[]");
    for (const json& item : *value) use(item);
  }
  const json* Find(const char* key) {
    known_.insert(key);
    if (!object_.is_object()) return nullptr;
    auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

 private:
  // Where the reference wants a text, its YAML reader takes plain scalars for one.
  static bool TextOf(const json& value, std::string* out) {
    if (value.is_string()) {
      *out = value.get<std::string>();
      return true;
    }
    if (!value.is_boolean() && !value.is_number()) return false;
    *out = value.dump();
    return true;
  }
  static bool IsUint32(const json& value) {
    return value.is_number_unsigned() && value.get<uint64_t>() <= UINT32_MAX;
  }
  void Fail(std::string text) {
    if (status_.ok()) status_ = InvalidArgumentError(std::move(text));
  }
  void Wrong(const char* key, const char* wanted) {
    Fail(StrCat("json: cannot unmarshal into Go struct field ", type_, ".", key, " of type ",
                wanted));
  }

  const json& object_;
  std::string type_;
  Status& status_;
  std::set<std::string, std::less<>> known_;
};

DeviceNode ReadNode(const json& from, Status* status) {
  DeviceNode node;
  Members members(from, "DeviceNode", status);
  members.Get("path", &node.path);
  members.Get("hostPath", &node.host_path);
  members.Get("type", &node.type);
  members.Get("major", &node.major);
  members.Get("minor", &node.minor);
  members.Get("fileMode", &node.file_mode);
  members.Get("permissions", &node.permissions);
  members.Get("uid", &node.uid);
  members.Get("gid", &node.gid);
  return node;
}

EditMount ReadMount(const json& from, Status* status) {
  EditMount mount;
  Members members(from, "Mount", status);
  members.Get("hostPath", &mount.host_path);
  members.Get("containerPath", &mount.container_path);
  members.Get("options", &mount.options);
  members.Get("type", &mount.type);
  return mount;
}

Hook ReadHook(const json& from, Status* status) {
  Hook hook;
  Members members(from, "Hook", status);
  members.Get("hookName", &hook.name);
  members.Get("path", &hook.path);
  members.Get("args", &hook.args);
  members.Get("env", &hook.env);
  members.Get("timeout", &hook.timeout);
  return hook;
}

NetDevice ReadNetDevice(const json& from, Status* status) {
  NetDevice device;
  Members members(from, "LinuxNetDevice", status);
  members.Get("hostInterfaceName", &device.host_interface);
  members.Get("name", &device.name);
  return device;
}

IntelRdt ReadIntelRdt(const json& from, Status* status) {
  IntelRdt rdt;
  Members members(from, "IntelRdt", status);
  members.Get("closID", &rdt.clos_id);
  members.Get("l3CacheSchema", &rdt.l3_cache_schema);
  members.Get("memBwSchema", &rdt.mem_bw_schema);
  members.Get("schemata", &rdt.schemata);
  members.Get("enableMonitoring", &rdt.enable_monitoring);
  return rdt;
}

ContainerEdits ReadEdits(const json& from, Status* status) {
  ContainerEdits edits;
  Members members(from, "ContainerEdits", status);
  members.Get("env", &edits.env);
  members.Each("deviceNodes", [&](const json& item) {
    edits.device_nodes.push_back(ReadNode(item, status));
  });
  members.Each("netDevices", [&](const json& item) {
    edits.net_devices.push_back(ReadNetDevice(item, status));
  });
  members.Each("hooks", [&](const json& item) { edits.hooks.push_back(ReadHook(item, status)); });
  members.Each("mounts", [&](const json& item) {
    edits.mounts.push_back(ReadMount(item, status));
  });
  if (const json* rdt = members.Find("intelRdt")) edits.intel_rdt = ReadIntelRdt(*rdt, status);
  members.Get("additionalGids", &edits.additional_gids);
  return edits;
}

SpecDevice ReadDevice(const json& from, Status* status) {
  SpecDevice device;
  Members members(from, "Device", status);
  members.Get("name", &device.name);
  members.Get("annotations", &device.annotations);
  if (const json* edits = members.Find("containerEdits")) device.edits = ReadEdits(*edits, status);
  return device;
}

CdiSpec ReadSpec(const json& from, Status* status) {
  CdiSpec spec;
  Members members(from, "Spec", status);
  members.Get("cdiVersion", &spec.version);
  members.Get("kind", &spec.kind);
  members.Get("annotations", &spec.annotations);
  members.Each("devices", [&](const json& item) {
    spec.devices.push_back(ReadDevice(item, status));
  });
  if (const json* edits = members.Find("containerEdits")) spec.edits = ReadEdits(*edits, status);
  return spec;
}

}  // namespace

bool ContainerEdits::empty() const {
  return env.empty() && device_nodes.empty() && net_devices.empty() && hooks.empty() &&
         mounts.empty() && !intel_rdt && additional_gids.empty();
}

void ContainerEdits::Append(const ContainerEdits& more) {
  auto add = [](auto* to, const auto& from) { to->insert(to->end(), from.begin(), from.end()); };
  add(&env, more.env);
  add(&device_nodes, more.device_nodes);
  add(&net_devices, more.net_devices);
  add(&hooks, more.hooks);
  add(&mounts, more.mounts);
  if (more.intel_rdt) intel_rdt = more.intel_rdt;
  add(&additional_gids, more.additional_gids);
}

std::pair<std::string, std::string> SplitKind(std::string_view kind) {
  std::string_view vendor, name;
  if (!StrCut(kind, "/", &vendor, &name) || vendor.empty() || name.empty()) {
    return {"", std::string(kind)};
  }
  return {std::string(vendor), std::string(name)};
}

StatusOr<CdiSpec> ParseCdiSpec(std::string_view text, const std::string& path) {
  const std::string what = StrCat("failed to parse CDI Spec ", Quote(path));
  StatusOr<json> parsed = ParseYaml(text);
  if (!parsed.ok()) {
    return Annotate(Annotate(parsed.status(), "error converting YAML to JSON"),
                    StrCat(what, ": failed to unmarshal CDI Spec"));
  }
  if (parsed->is_null()) return InvalidArgumentError(StrCat(what, ", no Spec data"));
  Status status;
  CdiSpec spec = ReadSpec(*parsed, &status);
  if (!status.ok()) {
    return Annotate(status, StrCat(what, ": failed to unmarshal CDI Spec: error unmarshaling "
                                         "JSON: while decoding JSON"));
  }
  RETURN_IF_ERROR(Annotate(CheckSpec(spec), "invalid CDI Spec"));
  return spec;
}

}  // namespace kiln::worker::cdi
