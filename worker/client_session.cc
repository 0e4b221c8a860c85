// WithAnySession: the one policy for "ask whichever client is there".
#include "worker/client_session.h"

namespace kiln::worker {
namespace {

constexpr std::chrono::seconds kSessionWait{5};

bool TryNextSession(const Status& status) {
  return status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kUnimplemented;
}

}  // namespace

Status WithAnySession(SessionTable& table, const std::vector<std::string>& sessions,
                      const std::function<Status(ClientSession&)>& call) {
  Status last = InternalError("no active sessions");
  for (const std::string& id : sessions) {
    StatusOr<ClientSessionPtr> session = table.Get(id, kSessionWait);
    if (!session.ok()) {
      last = session.status();
      continue;
    }
    last = call(**session);
    if (last.ok() || !TryNextSession(last)) {
      return last;
    }
  }
  return last;
}

}  // namespace kiln::worker
