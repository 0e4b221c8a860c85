// LiveSessions: the sessions whose clients are connected to this process.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "api/session/live_session.h"
#include "api/tunnel/tunnel.h"
#include "worker/client_session.h"

namespace kiln::api {

// Thread-safe.
class LiveSessions : public worker::SessionTable {
 public:
  // "no active session for X: context deadline exceeded" after `wait`. A prefix
  // before ':' in the id keeps vertices apart and is not looked at.
  StatusOr<worker::ClientSessionPtr> Get(std::string_view id,
                                         std::chrono::milliseconds wait) override;
  std::vector<std::string> Ids() override;

  // Serves one session over `stream` until the client goes, health checks fail, or
  // `stop` fires. Blocks.
  Status Serve(const SessionFacts& facts, ByteStream& stream, std::stop_token stop);

 private:
  void WatchHealth(LiveSession& session, Tunnel& tunnel, std::stop_token done);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::shared_ptr<LiveSession>, std::less<>> sessions_;
};

}  // namespace kiln::api
