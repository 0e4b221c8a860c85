// Progress messages from the wire into plain data.
#include "api/client/client.h"
#include "api/proto/control.pb.h"

namespace kiln::api {
namespace {

Time TimeOf(bool set, const google::protobuf::Timestamp& stamp) {
  return set ? Time{stamp.seconds() * 1'000'000'000 + stamp.nanos()} : Time{};
}

VertexWarningText WarningOf(const control::VertexWarning& wire) {
  VertexWarningText out;
  out.vertex = wire.vertex();
  out.level = static_cast<int>(wire.level());
  out.short_text = wire.short_();
  out.detail.assign(wire.detail().begin(), wire.detail().end());
  out.url = wire.url();
  if (wire.has_info()) {
    out.source = SourceText{wire.info().filename(), wire.info().data(), wire.info().language()};
  }
  for (const auto& range : wire.ranges()) {
    out.ranges.push_back({{range.start().line(), range.start().character()},
                          {range.end().line(), range.end().character()}});
  }
  return out;
}

}  // namespace

SolveStatus SolveStatusOf(const control::StatusResponse& response) {
  SolveStatus out;
  for (const auto& v : response.vertexes()) {
    VertexState& state = out.vertexes.emplace_back();
    state.digest = v.digest();
    state.inputs.assign(v.inputs().begin(), v.inputs().end());
    state.name = v.name();
    state.started = TimeOf(v.has_started(), v.started());
    state.completed = TimeOf(v.has_completed(), v.completed());
    state.cached = v.cached();
    state.error = v.error();
    if (v.has_progressgroup()) {
      state.group = ProgressGroup{v.progressgroup().id(), v.progressgroup().name(),
                                  v.progressgroup().weak()};
    }
  }
  for (const auto& s : response.statuses()) {
    out.statuses.push_back({s.id(), s.vertex(), s.name(), s.current(), s.total(),
                            TimeOf(true, s.timestamp()), TimeOf(s.has_started(), s.started()),
                            TimeOf(s.has_completed(), s.completed())});
  }
  for (const auto& log : response.logs()) {
    out.logs.push_back({log.vertex(), static_cast<int>(log.stream()), log.msg(),
                        TimeOf(true, log.timestamp())});
  }
  for (const auto& warning : response.warnings()) out.warnings.push_back(WarningOf(warning));
  return out;
}

}  // namespace kiln::api
