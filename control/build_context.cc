// Entitlements and cache imports of a build.
#include "control/build_context.h"

#include "base/csv.h"
#include "base/strings.h"
#include "control/cache_import.h"
#include "llb/proto/ops.pb.h"
#include "worker/cdi/cdi_devices.h"

namespace kiln::control {
namespace {

using worker::cdi::CdiDevices;
using worker::cdi::DeviceRequest;

constexpr std::string_view kHostNetwork = "network.host";
constexpr std::string_view kInsecure = "security.insecure";
constexpr std::string_view kDevice = "device";

// "" | NAME | NAME,alias=ASKED
Status AddDevice(std::string_view text, DeviceGrants* grants) {
  if (text.empty()) {
    grants->all = true;
    return OkStatus();
  }
  ASSIGN_OR_RETURN(std::vector<std::string> fields, CsvFields(text));
  std::string alias;
  for (size_t i = 1; i < fields.size(); ++i) {
    std::string_view key, value;
    if (!StrCut(fields[i], "=", &key, &value)) {
      return UnknownError(StrCat("invalid device config ", Quote(fields[i])));
    }
    if (key != "alias") return UnknownError(StrCat("unknown device config key ", Quote(key)));
    alias = value;
  }
  if (alias.empty()) {
    grants->devices[fields[0]] = "";
  } else {
    grants->devices[alias] = fields[0];
  }
  return OkStatus();
}

Status Refused(const std::vector<std::string>& names) {
  const bool one = names.size() == 1;
  return UnknownError(StrCat(one ? "device " : "devices ", StrJoin(names, ", "),
                             one ? " is" : " are", " requested by the build but not allowed"));
}

std::vector<DeviceRequest> RequestsOf(const pb::ExecOp& exec) {
  std::vector<DeviceRequest> requests;
  for (const pb::CDIDevice& device : exec.cdidevices()) {
    requests.push_back({device.name(), device.optional()});
  }
  return requests;
}

void SetDevices(const std::vector<DeviceRequest>& devices, pb::ExecOp* exec) {
  exec->clear_cdidevices();
  for (const DeviceRequest& device : devices) {
    pb::CDIDevice* added = exec->add_cdidevices();
    added->set_name(device.name);
    added->set_optional(device.optional);
  }
}

// Devices that need no grant, or that one of the grants leads to.
StatusOr<std::set<std::string>> AllowedDevices(const DeviceGrants& grants,
                                               const CdiDevices& devices) {
  std::set<std::string> allowed;
  for (const auto& [asked, real] : grants.devices) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, devices.Find({{.name = asked}}));
    allowed.insert(names.begin(), names.end());
  }
  for (const worker::cdi::Device& device : devices.List()) {
    if (device.auto_allow) allowed.insert(device.name);
  }
  return allowed;
}

Status GrantDevices(const DeviceGrants& grants, const CdiDevices* devices, pb::ExecOp* exec) {
  if (exec->cdidevices().empty() || grants.all) return OkStatus();
  std::vector<DeviceRequest> granted, open;
  std::vector<std::string> refused;
  for (DeviceRequest& device : RequestsOf(*exec)) {
    auto alias = grants.devices.find(device.name);
    if (alias == grants.devices.end() || alias->second.empty()) {
      refused.push_back(device.name);
      open.push_back(std::move(device));
    } else {
      granted.push_back({alias->second, device.optional});
    }
  }
  if (devices == nullptr && !refused.empty()) return Refused(refused);
  std::vector<std::string> found;
  if (devices != nullptr) {
    ASSIGN_OR_RETURN(found, devices->Find(open));
  }
  if (!found.empty()) {
    ASSIGN_OR_RETURN(std::set<std::string> allowed, AllowedDevices(grants, *devices));
    refused.clear();
    for (std::string& name : found) {
      if (allowed.contains(name)) {
        granted.push_back({std::move(name), false});
      } else {
        refused.push_back(std::move(name));
      }
    }
    if (!refused.empty()) return Refused(refused);
  }
  SetDevices(granted, exec);
  return OkStatus();
}

}  // namespace

StatusOr<Entitlements> GrantEntitlements(const std::vector<std::string>& wanted,
                                         const std::vector<std::string>& supported) {
  Entitlements granted;
  for (const std::string& want : wanted) {
    std::string_view name(want), rest;
    StrCut(want, "=", &name, &rest);
    // Only devices have settings after the name.
    std::string key(name == kDevice ? name : std::string_view(want));
    if (key == kDevice) RETURN_IF_ERROR(AddDevice(rest, &granted.devices));
    if (key != kHostNetwork && key != kInsecure && key != kDevice) {
      return UnknownError(StrCat("unknown entitlement ", key));
    }
    if (std::find(supported.begin(), supported.end(), key) == supported.end()) {
      return UnknownError(StrCat("granting entitlement ", key,
                                 " is not allowed by build daemon configuration"));
    }
    granted.names.insert(key);
  }
  return granted;
}

Status CheckEntitlements(pb::Op* op, const Entitlements& granted, const CdiDevices* devices) {
  if (!op->has_exec()) return OkStatus();
  if (op->exec().network() == pb::NetMode::HOST && !granted.contains(kHostNetwork)) {
    return UnknownError(StrCat(kHostNetwork, " is not allowed"));
  }
  if (op->exec().security() == pb::SecurityMode::INSECURE && !granted.contains(kInsecure)) {
    return UnknownError(StrCat(kInsecure, " is not allowed"));
  }
  return GrantDevices(granted.devices, devices, op->mutable_exec());
}

Time BuildContext::Finished() {
  std::lock_guard lock(mutex_);
  if (!finished_.set()) finished_ = Now();
  return finished_;
}

std::shared_ptr<solver::CacheSource> BuildContext::CacheSourceFor(
    const frontend::CacheImport& import) {
  std::lock_guard lock(mutex_);
  auto [entry, added] = cache_sources_.try_emplace(CacheImportName(import));
  if (added) entry->second = NewCacheImport(import, services->caches, progress);
  return entry->second;
}

worker::SeenBlobs BuildContext::LayersSeen() const {
  std::lock_guard lock(mutex_);
  worker::SeenBlobs seen;
  for (const auto& [name, import] : cache_sources_) import->AddSeen(&seen);
  return seen;
}

}  // namespace kiln::control
