// What the worker says of itself to clients: id, labels, platforms, GC rules.
#pragma once

#include <string>

#include "api/server/server.h"
#include "cmd/buildkitd/config.h"

namespace kiln::buildkitd {

// Decides on the workers that are "auto": each is on if what it needs is there. UNAVAILABLE if
// none is on.
Status SettleWorkers(Config* config);
// Whether steps run in containerd: it is on, and the OCI worker, which would be the
// default, is off. Which of the two settings the worker has.
bool UsesContainerd(const Config& config);
const WorkerConfig& WorkerConfigOf(const Config& config);
// The id is kept in <root>/workerid. INVALID_ARGUMENT "invalid platforms: …".
StatusOr<api::WorkerFacts> WorkerFactsOf(const Config& config, const std::string& snapshotter);
// The worker's snapshotter: containerd's by any name, else one of ours, or what "auto" stands
// for on the disk of the state folder. INVALID_ARGUMENT "unknown snapshotter name: "x"".
StatusOr<std::string> ChooseSnapshotter(const Config& config);
api::Version DaemonVersion();

}  // namespace kiln::buildkitd
