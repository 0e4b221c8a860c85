// One vertex around a function; see vertex.h.
#include "control/vertex.h"

#include <string>

namespace kiln::control {

Status RunInVertex(solver::ProgressSink& sink, std::string_view name, std::string_view id,
                   const std::function<Status(solver::VertexProgress&)>& work) {
  solver::VertexEvent vertex;
  vertex.digest = Digest::Of(id);
  vertex.name = std::string(name);
  vertex.started = Now();
  sink.Send(vertex);
  solver::VertexProgress progress(vertex.digest, sink);
  Status status = work(progress);
  vertex.completed = Now();
  if (!status.ok()) vertex.error = status.message();
  sink.Send(vertex);
  return status;
}

}  // namespace kiln::control
