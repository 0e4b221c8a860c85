// A CDI file: devices that a vendor offers to containers, and what each changes in them.
//
// Parsed and checked only; files are found and devices chosen in cdi_devices.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::worker::cdi {

struct DeviceNode {
  std::string path;
  std::string host_path = {};  // "": the same
  std::string type = {};       // b, c, u, p; "": that of the host's node
  int64_t major = 0;
  int64_t minor = 0;
  std::optional<uint32_t> file_mode = {};
  std::string permissions = {};
  std::optional<uint32_t> uid = {};
  std::optional<uint32_t> gid = {};
};

struct EditMount {
  std::string host_path;
  std::string container_path;
  std::vector<std::string> options = {};
  std::string type = {};
};

struct Hook {
  std::string name;  // "prestart", "createRuntime", …
  std::string path;
  std::vector<std::string> args = {};
  std::vector<std::string> env = {};
  std::optional<int64_t> timeout = {};
};

struct NetDevice {
  std::string host_interface;
  std::string name;
};

struct IntelRdt {
  std::string clos_id = {};
  std::string l3_cache_schema = {};
  std::string mem_bw_schema = {};
  std::vector<std::string> schemata = {};
  bool enable_monitoring = false;
};

// Changes of a container's runtime spec.
struct ContainerEdits {
  std::vector<std::string> env = {};
  std::vector<DeviceNode> device_nodes = {};
  std::vector<NetDevice> net_devices = {};
  std::vector<Hook> hooks = {};
  std::vector<EditMount> mounts = {};
  std::optional<IntelRdt> intel_rdt = {};
  std::vector<uint32_t> additional_gids = {};

  bool empty() const;
  void Append(const ContainerEdits& more);
};

struct SpecDevice {
  std::string name;
  std::map<std::string, std::string> annotations = {};
  ContainerEdits edits = {};
};

struct CdiSpec {
  std::string version;
  std::string kind;  // vendor/class
  std::map<std::string, std::string> annotations = {};
  std::vector<SpecDevice> devices = {};
  ContainerEdits edits = {};  // of a container that gets any of the devices
};

// `text` is YAML or JSON. Unknown members, members of another type, versions that are
// unknown or too old for what the file uses, and bad names are errors, in the
// reference's words.
StatusOr<CdiSpec> ParseCdiSpec(std::string_view text, const std::string& path);

// Vendor and class of a kind; no vendor if it is not of that form.
std::pair<std::string, std::string> SplitKind(std::string_view kind);

}  // namespace kiln::worker::cdi
