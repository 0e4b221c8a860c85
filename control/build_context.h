// BuildContext: what the parts of one running build share (bridge, references, exports).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "base/file.h"
#include "base/time.h"
#include "control/build_request.h"
#include "control/progress_log.h"
#include "control/services.h"
#include "solver/cache_source.h"
#include "worker/exec/usage_monitor.h"
#include "worker/remotecache/cache_backend.h"

namespace kiln::control {

class CacheImport;

// Devices that a build was granted: all, or those named, by their own name or another's.
struct DeviceGrants {
  bool all = false;
  std::map<std::string, std::string> devices = {};  // asked name to real one; "": the same
};
// Entitlements that a build was granted.
struct Entitlements {
  std::set<std::string, std::less<>> names = {};
  DeviceGrants devices = {};
  bool contains(std::string_view name) const { return names.contains(name); }
};
// "unknown entitlement X", "granting entitlement X is not allowed by build daemon configuration".
StatusOr<Entitlements> GrantEntitlements(const std::vector<std::string>& wanted,
                                         const std::vector<std::string>& supported);
// "X is not allowed" if the op needs what was not granted. Its devices become those that
// it was granted. `devices` is null where there are none.
Status CheckEntitlements(pb::Op* op, const Entitlements& granted,
                         const worker::cdi::CdiDevices* devices);

// Thread-safe; lives as long as anything of its build.
struct BuildContext {
  BuildRequest request;
  const Services* services = nullptr;
  std::shared_ptr<ProgressLog> progress = std::make_shared<ProgressLog>();
  std::stop_source stop;
  Entitlements entitlements;
  std::string unique_id = NewId();  // of this run, for provenance
  Time started = Now();
  std::unique_ptr<worker::exec::MachineMonitor::Record> machine;  // since the start; may be null

  bool proxy_network() const { return request.proxy_network || services->proxy_network; }

  // When the results were there: the first call decides, and all documents say the same.
  Time Finished();

  // The source of an import, one object per build and name. Never null.
  std::shared_ptr<solver::CacheSource> CacheSourceFor(const frontend::CacheImport& import);
  // The layers that those which were opened so far list.
  worker::SeenBlobs LayersSeen() const;

 private:
  mutable std::mutex mutex_;
  Time finished_;
  std::map<std::string, std::shared_ptr<CacheImport>> cache_sources_;
};
using BuildContextPtr = std::shared_ptr<BuildContext>;

}  // namespace kiln::control
