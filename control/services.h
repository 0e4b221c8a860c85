// Services: what a build uses of the daemon, wired once by cmd/buildkitd.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/ref_store.h"
#include "control/provenance/capture.h"
#include "frontend/bridge.h"
#include "solver/op.h"
#include "solver/scheduler.h"
#include "worker/client_session.h"
#include "worker/exec/usage_monitor.h"
#include "worker/exporter/exporter.h"

namespace pb {
class Op;
class SourceOp;
}  // namespace pb

namespace kiln::worker::cdi {
class CdiDevices;  // worker/cdi/cdi_devices.h
}

namespace kiln::worker {
class CacheBackends;  // worker/remotecache/cache_backend.h
class Worker;
}

namespace kiln::control {

// Metadata of a source, asked inside a vertex of the build. Blocks.
struct MetaQuery {
  const pb::SourceOp& source;
  const frontend::ResolveRequest& request;
  std::string session;
  std::string build;
  solver::VertexProgress& progress;
  std::stop_token stop;
};
using MetaResolver = std::function<StatusOr<frontend::SourceMeta>(const MetaQuery&)>;

// What the client behind `session` says of the source in `op`, which it may replace.
// Blocks for as long as the client thinks.
struct PolicyQuery {
  std::string session;
  pb::Op& op;
  std::function<Status(pb::SourceOp*)> rules;  // to be asked of each replacement
  std::function<StatusOr<frontend::SourceMeta>(const pb::SourceOp&,
                                               const frontend::ResolveRequest&)>
      resolve;
};
using PolicyCheck = std::function<Status(const PolicyQuery&)>;

// Pointers are never null unless said so, and outlive every build.
struct Services {
  solver::Scheduler* scheduler = nullptr;
  solver::OpResolver* ops = nullptr;   // the scheduler's
  cache::RefStore* refs = nullptr;
  worker::SessionTable* sessions = nullptr;
  worker::ExporterTable* exporters = nullptr;
  worker::Worker* worker = nullptr;
  std::map<std::string, std::unique_ptr<frontend::Frontend>> frontends = {};
  MetaResolver resolve_meta = {};      // may be empty: UNIMPLEMENTED
  worker::CacheBackends* caches = nullptr;  // may be null: every type is unknown
  std::vector<frontend::WorkerInfo> workers = {};
  std::vector<std::string> entitlements = {};  // that builds may be granted
  const worker::cdi::CdiDevices* devices = nullptr;  // may be null: there are none
  PolicyCheck check_policy = {};      // may be empty: clients have no say
  // What the source of a vertex turned out to be; may be empty: nothing is known.
  FindPin find_pin = {};
  FindProxied find_proxied = {};      // may be empty, likewise
  FindUsage find_usage = {};          // likewise
  worker::exec::MachineMonitor* machine = nullptr;  // may be null: nobody looks
  bool proxy_network = false;         // for all builds
  std::string dockerfile_version = {};  // of the built-in frontend, for provenance
  std::string provenance_env = {};      // JSON object of the daemon's own facts, or ""
  std::function<void()> after_build = {};      // may be empty; returns at once
};

}  // namespace kiln::control
