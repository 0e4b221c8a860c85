// Progress of vertices: what solver and jobs say, and builds listen to.
//
// The wire form (StatusResponse) is made in api/server from these events.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "base/time.h"

namespace kiln::solver {

struct ProgressGroup {
  std::string id;
  std::string name;
  bool weak = false;
};

// State of one vertex; sent whole at each change. Unset times are not there yet.
struct VertexEvent {
  Digest digest;
  std::vector<Digest> inputs;
  std::string name;
  bool cached = false;
  Time started;
  Time completed;
  std::string error;  // "" if none
  std::optional<ProgressGroup> group;
};

// A line of sub-progress of a vertex: layer transfers, "exporting layers", …
struct StatusEvent {
  Digest vertex;
  std::string id;     // identity within the vertex
  std::string name;
  int64_t current = 0;
  int64_t total = 0;
  Time timestamp;
  Time started;
  Time completed;
};

// Bytes of a step's output. Stream 1 is stdout, 2 stderr.
struct LogEvent {
  Digest vertex;
  int stream = 1;
  std::string bytes;
  Time timestamp;
};

struct SourceRange {
  int32_t start_line = 0, start_character = 0, end_line = 0, end_character = 0;
};

struct WarningEvent {
  Digest vertex;
  int level = 0;
  std::string short_text;
  std::vector<std::string> detail;
  std::string url;
  std::string source_info;  // serialised pb.SourceInfo, empty if none
  std::vector<SourceRange> ranges;
};

using ProgressEvent = std::variant<VertexEvent, StatusEvent, LogEvent, WarningEvent>;

// Where events go. Thread-safe; never blocks for long.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void Send(ProgressEvent event) = 0;
};

// A sink bound to one vertex: what a job holds. Thread-safe.
class VertexProgress {
 public:
  VertexProgress(Digest vertex, ProgressSink& sink) : vertex_(std::move(vertex)), sink_(sink) {}
  const Digest& vertex() const { return vertex_; }
  void Log(int stream, std::string_view bytes);
  // Starts, updates or (with a completed time) ends a line of sub-progress.
  void Status(StatusEvent event);
  void Warn(WarningEvent event);

 private:
  Digest vertex_;
  ProgressSink& sink_;
};

// RAII line of sub-progress: "started" now, "completed" in the destructor.
class StatusLine {
 public:
  StatusLine(VertexProgress& progress, std::string id);
  ~StatusLine();
  void Update(int64_t current, int64_t total);

 private:
  VertexProgress& progress_;
  StatusEvent event_;
};

}  // namespace kiln::solver
