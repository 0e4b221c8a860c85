// Server: the gRPC server of the daemon: its services and its listeners.
//
// What the services do is control's and the stores' business; here are the wire
// forms. Listening sockets are made by cmd/buildkitd and accepted here.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/session/session_table.h"
#include "base/platform.h"
#include "base/unique_fd.h"
#include "cache/ref_store.h"
#include "control/controller.h"

namespace kiln::cache {
class KeyIndex;
}

namespace kiln::api {

struct Version {
  std::string package;
  std::string version;
  std::string revision;
  std::string dockerfile_version;
};

// What ListWorkers tells of the one worker.
struct WorkerFacts {
  std::string id;
  std::map<std::string, std::string> labels;
  std::vector<Platform> platforms;
  std::vector<cache::PruneOptions> gc_policy;
};

// Everything outlives the server.
struct ServerParts {
  control::Controller* controller = nullptr;
  LiveSessions* sessions = nullptr;
  cache::RefStore* refs = nullptr;
  cache::KeyIndex* keys = nullptr;  // may be null: nothing is explained
  Version version = {};
  WorkerFacts worker = {};
  const worker::cdi::CdiDevices* devices = nullptr;  // may be null: there are none
};

// A certificate for TCP sockets; PEM texts. With `client_ca` clients must show one.
struct TlsIdentity {
  std::string certificate;
  std::string key;
  std::string client_ca;
};

// Thread-safe.
class Server {
 public:
  explicit Server(const ServerParts& parts);
  ~Server();  // Stop

  // What ListenTls shows. Call before Start.
  void UseTls(const TlsIdentity& identity);
  // UNKNOWN if the identity is not one.
  Status Start();
  // Serves what connects to a listening socket, in the clear. Call after Start, as the next.
  Status Listen(UniqueFd socket);
  Status ListenTls(UniqueFd socket);
  // Ends all calls; builds are cancelled. Blocks until they are gone.
  void Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Bodies of history records for control::Controller.
StatusOr<control::HistoryRecord> MakeHistoryRecord(const control::BuildOutcome& outcome);

}  // namespace kiln::api
