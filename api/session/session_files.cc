// Folders between client and daemon by the fsutil protocol.
#include "api/session/live_session.h"
#include "base/strings.h"

namespace kiln::api {

Status LiveSession::SyncDir(const worker::SyncRequest&, std::stop_token) {
  return UnimplementedError("file sync is not there yet");
}

Status LiveSession::SendDir(const worker::SendDirRequest&, std::stop_token) {
  return UnimplementedError("file send is not there yet");
}

}  // namespace kiln::api
