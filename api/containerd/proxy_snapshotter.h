// Snapshots of a snapshotter behind a socket of its own, which speaks containerd's Snapshots
// service and knows nothing of leases.
#pragma once

#include <memory>
#include <string>

#include "cache/snapshot/snapshotter.h"

namespace kiln::api {

struct ProxySnapshotterOptions {
  std::string address;     // the socket's path
  std::string name;        // what calls name the snapshotter; most do not look at it
  std::string name_space;  // of containerd's kind
  // Whose snapshots these are, as their label says: the worker's id, which goes with the state
  // folder wherever that is. Others' are left alone.
  std::string owner;
};
// Connects with the first call; its calls are UNAVAILABLE while nobody is at the socket.
std::unique_ptr<cache::Snapshotter> OpenProxySnapshotter(const ProxySnapshotterOptions& options);

}  // namespace kiln::api
