// A record's body is a BuildHistoryRecord; what control needs of it is beside it.
#include "api/server/history_codec.h"

#include "api/proto/control.pb.h"
#include "api/server/history_filter.h"

namespace kiln::api {

namespace wire = moby::buildkit::v1;

wire::BuildHistoryEvent ToHistoryEvent(const control::HistoryEvent& event) {
  wire::BuildHistoryEvent out;
  out.set_type(static_cast<wire::BuildHistoryEventType>(event.type));
  out.mutable_record()->ParseFromString(event.record.body);
  out.mutable_record()->set_ref(event.record.ref);
  out.mutable_record()->set_pinned(event.record.pinned);
  return out;
}

control::ListenOptions ListenOptionsOf(const wire::BuildHistoryRequest& request) {
  control::ListenOptions options{.ref = request.ref(),
                                 .active_only = request.activeonly(),
                                 .early_exit = request.earlyexit()};
  std::vector<std::string> filters(request.filter().begin(), request.filter().end());
  int limit = request.limit();
  if (filters.empty() && limit == 0) return options;
  options.select = [filters, limit](std::vector<control::HistoryEvent> events) {
    return SelectHistory(filters, limit, std::move(events));
  };
  return options;
}

Status UpdateHistory(control::History& history, const wire::UpdateBuildHistoryRequest& request) {
  // "delete" named like this in C++ because the plain word is taken.
  if (request.delete_() || request.finalize()) history.Finalize(request.ref());
  if (request.delete_()) return history.Delete(request.ref());
  if (request.finalize()) return OkStatus();
  return history.Update(request.ref(), [&](control::HistoryRecord& record) {
    record.pinned = request.pinned();
    wire::BuildHistoryRecord body;
    body.ParseFromString(record.body);
    body.set_generation(body.generation() + 1);
    record.body = body.SerializeAsString();
    return OkStatus();
  });
}

}  // namespace kiln::api
