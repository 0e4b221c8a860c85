// ClientFrontend: the frontend of a build that its client drives from outside.
//
// Solve waits until the client says Return; meanwhile api/server passes the
// client's LLBBridge calls to the bridge. References are known by id here. Image
// frontends speak the same protocol from inside a container (gateway_frontend.h).
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "cache/ref.h"
#include "control/build_context.h"
#include "control/gateway_containers.h"
#include "control/reply_room.h"
#include "frontend/bridge.h"

namespace kiln::control {

// Thread-safe. `bridge` must outlive it.
class ClientFrontend {
 public:
  // Bytes that the references of one driver may take, about 60 000 small ones: nobody
  // needs that many, and one that asks for ever must not fill the memory of all.
  static constexpr size_t kRoom = size_t{512} << 20;

  // Of files that are on their way to it: a few of the largest messages.
  static constexpr size_t kReplyRoom = size_t{64} << 20;

  // Without a build (in tests) there are no containers.
  explicit ClientFrontend(frontend::Bridge& bridge, BuildContextPtr build = nullptr,
                          size_t room = kRoom)
      : bridge_(bridge), build_(std::move(build)), room_(room) {}

  frontend::Bridge& bridge() { return bridge_; }
  const BuildContextPtr& build() const { return build_; }
  // Answers with contents of files take their room here until they are sent.
  ReplyRoom& replies() { return replies_; }
  GatewayContainers& containers() { return containers_; }

  // RESOURCE_EXHAUSTED once the references take all the room: no more solves.
  Status CheckRoom();
  // Keeps a reference under a new id; "" for scratch.
  std::string Register(const frontend::ReferencePtr& reference);
  // Under an id of the caller's; nothing for scratch.
  void Name(const std::string& id, const frontend::ReferencePtr& reference);
  // "no such ref: X, all [Y …]" for ids that are not known.
  StatusOr<frontend::ReferencePtr> Find(const std::string& id);
  // The same for ids of a returned result: "" is scratch, "return reference X not found".
  StatusOr<frontend::ReferencePtr> Returned(const std::string& id);

  // Trees of failed steps, by record: the id under which a container may mount one. ""
  // for scratch.
  std::string RegisterTree(cache::Ref tree);
  // The tree behind an id of either kind; evaluates.
  StatusOr<cache::Ref> TreeOf(const std::string& id);

  // Ends the build. "gateway result is already set" the second time.
  Status Return(StatusOr<frontend::Result> result);
  // Blocks until Return; CANCELLED when `stop` fires first.
  StatusOr<frontend::Result> Wait(std::stop_token stop);
  // The result of a frontend that is a process, after its end: an error that it
  // returned, else its failure, else what it returned. "no result for incomplete build".
  StatusOr<frontend::Result> Outcome(const Status& process);

 private:
  frontend::Bridge& bridge_;
  BuildContextPtr build_;
  GatewayContainers containers_;
  ReplyRoom replies_{kReplyRoom};
  const size_t room_;
  std::mutex mutex_;
  size_t taken_ = 0;
  std::condition_variable_any returned_;
  std::map<std::string, frontend::ReferencePtr> references_;
  std::map<std::string, cache::Ref> trees_;
  std::optional<StatusOr<frontend::Result>> result_;
};

}  // namespace kiln::control
