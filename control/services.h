// Services: what a build uses of the daemon, wired once by cmd/buildkitd.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/ref_store.h"
#include "frontend/bridge.h"
#include "solver/op.h"
#include "solver/scheduler.h"
#include "worker/client_session.h"
#include "worker/exporter/exporter.h"

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
  std::function<void()> after_build = {};      // may be empty; returns at once
};

}  // namespace kiln::control
