// A record's body is a BuildHistoryRecord; what control needs of it is beside it.
#include "api/server/history_codec.h"

#include <algorithm>

#include "api/proto/control.pb.h"
#include "api/server/progress_codec.h"
#include "api/server/server.h"
#include "api/tunnel/grpc_status.h"

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
  if (int limit = request.limit(); limit > 0) {
    options.select = [limit](std::vector<control::HistoryEvent> events)
        -> StatusOr<std::vector<control::HistoryEvent>> {
      std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
        return a.record.created > b.record.created;
      });
      if (events.size() > static_cast<size_t>(limit)) events.resize(static_cast<size_t>(limit));
      return events;
    };
  }
  return options;
}

Status UpdateHistory(control::History& history, const wire::UpdateBuildHistoryRequest& request) {
  // "delete" named like this in C++ because the plain word is taken.
  if (request.delete_()) return history.Delete(request.ref());
  if (request.finalize()) return OkStatus();
  return history.Update(request.ref(), [&](control::HistoryRecord& record) {
    record.pinned = request.pinned();
    return OkStatus();
  });
}

control::HistoryRecord MakeHistoryRecord(const control::BuildOutcome& outcome) {
  wire::BuildHistoryRecord body;
  const control::BuildRequest& request = outcome.request;
  body.set_ref(request.id);
  body.set_frontend(request.frontend);
  body.mutable_frontendattrs()->insert(request.frontend_opts.begin(), request.frontend_opts.end());
  for (const control::OutputRequest& output : request.outputs) {
    wire::Exporter* exporter = body.add_exporters();
    exporter->set_type(output.type);
    exporter->mutable_attrs()->insert(output.attrs.begin(), output.attrs.end());
  }
  SetTimestamp(outcome.created, body.mutable_createdat());
  body.set_numtotalsteps(outcome.counts.total);
  body.set_numcachedsteps(outcome.counts.cached);
  body.set_numcompletedsteps(outcome.counts.completed);
  body.set_numwarnings(outcome.counts.warnings);
  if (outcome.response != nullptr) {
    SetTimestamp(outcome.completed, body.mutable_completedat());
    if (outcome.response->ok()) {
      const auto& values = **outcome.response;
      body.mutable_exporterresponse()->insert(values.begin(), values.end());
    } else {
      // The full error would be a blob; code and text are what lists show.
      body.mutable_error()->set_code(static_cast<int>(outcome.response->status().code()));
      body.mutable_error()->set_message(outcome.response->status().message());
    }
  }
  return {.ref = request.id,
          .created = outcome.created,
          .completed = outcome.completed,
          .pinned = false,
          .body = body.SerializeAsString(),
          .blobs = {}};
}

}  // namespace kiln::api
