// Registration, waiting, and the health check of each session.
#include "api/session/session_table.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr int kHealthInterval = 5'000;   // ms
constexpr int kHealthTimeout = 15'000;
constexpr int kHealthFailures = 2;       // in a row
constexpr int kLeastCustomTimeout = 1'000;

}  // namespace

StatusOr<worker::ClientSessionPtr> LiveSessions::Get(std::string_view id,
                                                     std::chrono::milliseconds wait) {
  std::string_view prefix, rest;
  if (StrCut(id, ":", &prefix, &rest) && !rest.empty()) id = rest;
  std::unique_lock lock(mutex_);
  auto entry = sessions_.end();
  bool found = changed_.wait_for(lock, wait, [&] {
    entry = sessions_.find(id);
    return entry != sessions_.end();
  });
  if (!found) {
    return DeadlineExceededError(
        StrCat("no active session for ", id, ": context deadline exceeded"));
  }
  return worker::ClientSessionPtr(entry->second);
}

std::vector<std::string> LiveSessions::Ids() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  return ids;
}

Status LiveSessions::Serve(const SessionFacts& facts, ByteStream& stream, std::stop_token stop) {
  ASSIGN_OR_RETURN(auto tunnel, Tunnel::Start(stream));
  auto session = std::make_shared<LiveSession>(facts, tunnel->ReleaseGrpcFd());
  {
    std::lock_guard lock(mutex_);
    sessions_[facts.id] = session;
    changed_.notify_all();
  }
  {
    std::stop_callback close(stop, [&] { tunnel->Close(); });
    std::jthread health([&](std::stop_token done) { WatchHealth(*session, *tunnel, done); });
    tunnel->Wait();
  }
  std::lock_guard lock(mutex_);
  auto entry = sessions_.find(facts.id);
  if (entry != sessions_.end() && entry->second == session) sessions_.erase(entry);
  return OkStatus();
}

void LiveSessions::WatchHealth(LiveSession& session, Tunnel& tunnel, std::stop_token done) {
  int interval = kHealthInterval, timeout = kHealthTimeout, limit = kHealthFailures;
  if (int custom = session.facts().health_timeout_ms; custom > 0) {
    interval = timeout = std::max(custom, kLeastCustomTimeout);
    limit = 1;
  }
  std::mutex mutex;
  std::condition_variable_any wake;
  int failures = 0;
  while (true) {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, done, std::chrono::milliseconds(interval), [] { return false; });
    if (done.stop_requested()) return;
    Status health = session.CheckHealth(timeout);
    if (done.stop_requested()) return;
    failures = health.ok() ? 0 : failures + 1;
    if (failures >= limit) {
      log::Error("healthcheck failed fatally", {{"error", health.message()}});
      tunnel.Close();
      return;
    }
    if (!health.ok()) log::Warning("healthcheck failed", {{"error", health.message()}});
  }
}

}  // namespace kiln::api
