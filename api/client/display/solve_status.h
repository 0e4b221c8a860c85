// SolveStatus: one message of a build's progress, as plain data.
//
// What Control.Status carries (api/proto/control.proto), without the generated
// header, so that displays compile fast and can be tested with literals.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace kiln::api {

struct ProgressGroup {
  std::string id;
  std::string name;
  bool weak = false;
};

// Unset times have not happened yet.
struct VertexState {
  std::string digest;
  std::vector<std::string> inputs;
  std::string name;
  Time started;
  Time completed;
  bool cached = false;
  std::string error;
  std::optional<ProgressGroup> group;
};

struct VertexStatusLine {
  std::string id;
  std::string vertex;
  std::string name;
  int64_t current = 0;
  int64_t total = 0;
  Time timestamp;
  Time started;
  Time completed;
};

struct VertexLogBytes {
  std::string vertex;
  int stream = 1;
  std::string bytes;
  Time timestamp;
};

struct Position {
  int32_t line = 0;
  int32_t character = 0;
};
struct Range {
  Position start;
  Position end;
};
struct SourceText {
  std::string filename;
  std::string data;
  std::string language;
};
struct VertexWarningText {
  std::string vertex;
  int level = 0;
  std::string short_text;
  std::vector<std::string> detail;
  std::string url;
  std::optional<SourceText> source;
  std::vector<Range> ranges;
};

struct SolveStatus {
  std::vector<VertexState> vertexes;
  std::vector<VertexStatusLine> statuses;
  std::vector<VertexLogBytes> logs;
  std::vector<VertexWarningText> warnings;
};

}  // namespace kiln::api
