// Names, versions and edits of CDI files.
#include "worker/cdi/cdi_check.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/strings.h"

namespace kiln::worker::cdi {
namespace {

bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool IsAlphanumeric(char c) { return IsLetter(c) || (c >= '0' && c <= '9'); }

// The first byte between the ends that is neither alphanumeric nor in `more`; 0 if none is.
char BadMiddle(std::string_view name, std::string_view more) {
  for (size_t i = 1; i + 1 < name.size(); ++i) {
    if (!IsAlphanumeric(name[i]) && more.find(name[i]) == std::string_view::npos) return name[i];
  }
  return 0;
}

Status CheckKindName(std::string_view what, std::string_view name) {
  if (name.empty()) return InvalidArgumentError(StrCat(what, "empty name"));
  if (!IsLetter(name[0])) {
    return InvalidArgumentError(StrCat(what, Quote(name), ", should start with letter"));
  }
  if (char bad = BadMiddle(name, "_-."); bad != 0) {
    return InvalidArgumentError(
        StrCat(what, "invalid character '", bad, "' in name ", Quote(name)));
  }
  if (!IsAlphanumeric(name.back())) {
    return InvalidArgumentError(StrCat(what, Quote(name), ", should end with a letter or digit"));
  }
  return OkStatus();
}

Status CheckDeviceName(std::string_view name) {
  if (name.empty()) return InvalidArgumentError("invalid (empty) device name");
  if (!IsAlphanumeric(name[0])) {
    return InvalidArgumentError(
        StrCat("invalid class ", Quote(name), ", should start with a letter or digit"));
  }
  if (char bad = BadMiddle(name, "_-.:"); bad != 0) {
    return InvalidArgumentError(
        StrCat("invalid character '", bad, "' in device name ", Quote(name)));
  }
  if (!IsAlphanumeric(name.back())) {
    return InvalidArgumentError(
        StrCat("invalid name ", Quote(name), ", should end with a letter or digit"));
  }
  return OkStatus();
}

Status CheckEnv(const std::vector<std::string>& env) {
  for (const std::string& entry : env) {
    size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return InvalidArgumentError(StrCat("invalid environment variable ", Quote(entry)));
    }
  }
  return OkStatus();
}

Status CheckNode(const DeviceNode& node) {
  if (node.path.empty()) return InvalidArgumentError("invalid (empty) device path");
  const std::string what = StrCat("device ", Quote(node.path));
  if (!node.type.empty() && (node.type.size() > 1 || !Contains("bcup", node.type))) {
    return InvalidArgumentError(StrCat(what, ": invalid type ", Quote(node.type)));
  }
  if (node.permissions.find_first_not_of("rwm") != std::string::npos) {
    return InvalidArgumentError(StrCat(what, ": invalid permissions ", Quote(node.permissions)));
  }
  return OkStatus();
}

Status CheckHook(const Hook& hook) {
  static constexpr std::string_view kNames[] = {"prestart",       "createRuntime", "createContainer",
                                                "startContainer", "poststart",     "poststop"};
  if (std::find(std::begin(kNames), std::end(kNames), hook.name) == std::end(kNames)) {
    return InvalidArgumentError(StrCat("invalid hook name ", Quote(hook.name)));
  }
  const std::string what = StrCat("invalid hook ", Quote(hook.name));
  if (hook.path.empty()) return InvalidArgumentError(StrCat(what, " with empty path"));
  return Annotate(CheckEnv(hook.env), what);
}

Status CheckMount(const EditMount& mount) {
  if (mount.host_path.empty()) return InvalidArgumentError("invalid mount, empty host path");
  if (mount.container_path.empty()) {
    return InvalidArgumentError("invalid mount, empty container path");
  }
  return OkStatus();
}

Status CheckNetDevices(const std::vector<NetDevice>& devices) {
  std::set<std::string> hosts, names;
  for (const NetDevice& device : devices) {
    const char* missing = device.host_interface.empty() ? "HostInterfaceName"
                          : device.name.empty()         ? "Name"
                                                        : nullptr;
    if (missing != nullptr) {
      return InvalidArgumentError(StrCat("invalid linux net device, empty ", missing));
    }
    if (!hosts.insert(device.host_interface).second) {
      return InvalidArgumentError(StrCat("invalid linux net device, duplicate HostInterfaceName ",
                                         Quote(device.host_interface)));
    }
    if (!names.insert(device.name).second) {
      return InvalidArgumentError(
          StrCat("invalid linux net device, duplicate Name ", Quote(device.name)));
    }
  }
  return OkStatus();
}

Status CheckEdits(const ContainerEdits& edits) {
  RETURN_IF_ERROR(Annotate(CheckEnv(edits.env), "invalid container edits"));
  for (const DeviceNode& node : edits.device_nodes) RETURN_IF_ERROR(CheckNode(node));
  for (const Hook& hook : edits.hooks) RETURN_IF_ERROR(CheckHook(hook));
  for (const EditMount& mount : edits.mounts) RETURN_IF_ERROR(CheckMount(mount));
  if (edits.intel_rdt) {
    const std::string& id = edits.intel_rdt->clos_id;
    if (id != "/" && (id.size() >= 4096 || id == "." || id == ".." ||
                      id.find_first_of("/\n") != std::string::npos)) {
      return InvalidArgumentError("invalid ClosID");
    }
  }
  return CheckNetDevices(edits.net_devices);
}

// Versions by what they brought; the index is that in kVersions.
constexpr std::string_view kVersions[] = {"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0",
                                          "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"};
constexpr size_t kEarliest = 2;

size_t NeededBy(const ContainerEdits& edits) {
  size_t needed = kEarliest;
  auto need = [&](bool used, size_t version) {
    if (used) needed = std::max(needed, version);
  };
  for (const EditMount& mount : edits.mounts) need(!mount.type.empty(), 3);
  for (const DeviceNode& node : edits.device_nodes) need(!node.host_path.empty(), 4);
  need(edits.intel_rdt.has_value() || !edits.additional_gids.empty(), 6);
  need(!edits.net_devices.empty(), 9);
  if (edits.intel_rdt) {
    need(!edits.intel_rdt->schemata.empty() || edits.intel_rdt->enable_monitoring, 9);
  }
  return needed;
}

Status CheckVersion(const CdiSpec& spec) {
  std::string_view plain = TrimPrefix(spec.version, "v");
  auto known = std::find(std::begin(kVersions), std::end(kVersions), plain);
  if (known == std::end(kVersions)) {
    return InvalidArgumentError(StrCat("invalid version ", Quote(spec.version)));
  }
  size_t needed = NeededBy(spec.edits);
  if (!spec.annotations.empty() || Contains(SplitKind(spec.kind).second, ".")) {
    needed = std::max<size_t>(needed, 5);
  }
  for (const SpecDevice& device : spec.devices) {
    needed = std::max(needed, NeededBy(device.edits));
    if (!device.annotations.empty()) needed = std::max<size_t>(needed, 5);
    if (!device.name.empty() && device.name[0] >= '0' && device.name[0] <= '9') {
      needed = std::max<size_t>(needed, 4);
    }
  }
  if (needed > static_cast<size_t>(known - std::begin(kVersions))) {
    return InvalidArgumentError(
        StrCat("the spec version must be at least v", kVersions[needed]));
  }
  return OkStatus();
}

Status CheckDevice(const SpecDevice& device) {
  RETURN_IF_ERROR(CheckDeviceName(device.name));
  if (device.edits.empty()) return InvalidArgumentError("invalid device, empty device edits");
  return Annotate(CheckEdits(device.edits), StrCat("invalid device ", Quote(device.name)));
}

}  // namespace

Status CheckSpec(const CdiSpec& spec) {
  RETURN_IF_ERROR(CheckVersion(spec));
  auto [vendor, name] = SplitKind(spec.kind);
  RETURN_IF_ERROR(CheckKindName("invalid vendor. ", vendor));
  RETURN_IF_ERROR(CheckKindName("invalid class. ", name));
  RETURN_IF_ERROR(CheckEdits(spec.edits));
  std::set<std::string> names;
  for (const SpecDevice& device : spec.devices) {
    RETURN_IF_ERROR(
        Annotate(CheckDevice(device), StrCat("failed add device ", Quote(device.name))));
    if (!names.insert(device.name).second) {
      return InvalidArgumentError(StrCat("invalid spec, multiple device ", Quote(device.name)));
    }
  }
  if (names.empty()) return InvalidArgumentError("invalid spec, no devices");
  return OkStatus();
}

}  // namespace kiln::worker::cdi
