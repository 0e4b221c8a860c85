// Events to StatusResponse; logs are cut so that a message stays around a megabyte.
//
// Names come from Dockerfiles and file names of clients: a string field with bytes
// that are not UTF-8 would make the peer end the whole stream.
#include "api/server/progress_codec.h"

#include "api/proto/control.pb.h"
#include "base/utf8.h"

namespace kiln::api {
namespace {

namespace wire = moby::buildkit::v1;

constexpr size_t kMaxLogBytes = 1 << 20;

void Append(solver::VertexEvent& event, wire::StatusResponse* out) {
  wire::Vertex* vertex = out->add_vertexes();
  vertex->set_digest(event.digest.text());
  for (const Digest& input : event.inputs) vertex->add_inputs(input.text());
  vertex->set_name(ToValidUtf8(event.name));
  vertex->set_cached(event.cached);
  if (event.started.set()) SetTimestamp(event.started, vertex->mutable_started());
  if (event.completed.set()) SetTimestamp(event.completed, vertex->mutable_completed());
  vertex->set_error(ToValidUtf8(event.error));
  if (event.group) {
    vertex->mutable_progressgroup()->set_id(ToValidUtf8(event.group->id));
    vertex->mutable_progressgroup()->set_name(ToValidUtf8(event.group->name));
    vertex->mutable_progressgroup()->set_weak(event.group->weak);
  }
}

void Append(solver::StatusEvent& event, wire::StatusResponse* out) {
  wire::VertexStatus* status = out->add_statuses();
  status->set_id(ToValidUtf8(event.id));
  status->set_vertex(event.vertex.text());
  status->set_name(ToValidUtf8(event.name));
  status->set_current(event.current);
  status->set_total(event.total);
  SetTimestamp(event.timestamp.set() ? event.timestamp : Now(), status->mutable_timestamp());
  if (event.started.set()) SetTimestamp(event.started, status->mutable_started());
  if (event.completed.set()) SetTimestamp(event.completed, status->mutable_completed());
}

void Append(solver::LogEvent& event, wire::StatusResponse* out) {
  wire::VertexLog* log = out->add_logs();
  log->set_vertex(event.vertex.text());
  log->set_stream(event.stream);
  log->set_msg(std::move(event.bytes));
  SetTimestamp(event.timestamp.set() ? event.timestamp : Now(), log->mutable_timestamp());
}

void Append(solver::WarningEvent& event, wire::StatusResponse* out) {
  wire::VertexWarning* warning = out->add_warnings();
  warning->set_vertex(event.vertex.text());
  warning->set_level(event.level);
  warning->set_short_(std::move(event.short_text));
  for (std::string& line : event.detail) warning->add_detail(line);
  warning->set_url(ToValidUtf8(event.url));
  if (!event.source_info.empty()) warning->mutable_info()->ParseFromString(event.source_info);
  for (const solver::SourceRange& range : event.ranges) {
    pb::Range* out_range = warning->add_ranges();
    out_range->mutable_start()->set_line(range.start_line);
    out_range->mutable_start()->set_character(range.start_character);
    out_range->mutable_end()->set_line(range.end_line);
    out_range->mutable_end()->set_character(range.end_character);
  }
}

}  // namespace

void SetTimestamp(Time time, google::protobuf::Timestamp* out) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = time.nanos / kSecond, nanos = time.nanos % kSecond;
  if (nanos < 0) {
    nanos += kSecond;
    --seconds;
  }
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(nanos));
}

std::vector<wire::StatusResponse> ToStatusResponses(std::vector<solver::ProgressEvent> events) {
  std::vector<wire::StatusResponse> out(1);
  size_t log_bytes = 0;
  for (solver::ProgressEvent& event : events) {
    if (auto* log = std::get_if<solver::LogEvent>(&event)) {
      log_bytes += log->bytes.size();
      if (log_bytes > kMaxLogBytes) {
        out.emplace_back();
        log_bytes = log->bytes.size();
      }
    }
    std::visit([&](auto& typed) { Append(typed, &out.back()); }, event);
  }
  return out;
}

}  // namespace kiln::api
