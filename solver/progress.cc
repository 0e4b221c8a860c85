#include "solver/progress.h"

#include <string>
#include <utility>

namespace kiln::solver {

void VertexProgress::Log(int stream, std::string_view bytes) {
  sink_.Send(LogEvent{vertex_, stream, std::string(bytes), Now()});
}

void VertexProgress::Status(StatusEvent event) {
  event.vertex = vertex_;
  if (!event.timestamp.set()) event.timestamp = Now();
  sink_.Send(std::move(event));
}

void VertexProgress::Warn(WarningEvent event) {
  if (event.vertex.empty()) event.vertex = vertex_;
  sink_.Send(std::move(event));
}

StatusLine::StatusLine(VertexProgress& progress, std::string id) : progress_(progress) {
  event_.id = std::move(id);
  event_.started = Now();
  event_.timestamp = event_.started;
  progress_.Status(event_);
}

StatusLine::~StatusLine() {
  event_.completed = Now();
  event_.timestamp = event_.completed;
  progress_.Status(event_);
}

void StatusLine::Update(int64_t current, int64_t total) {
  event_.current = current;
  event_.total = total;
  event_.timestamp = Now();
  progress_.Status(event_);
}

}  // namespace kiln::solver
