// See trace.h.
#include "base/trace.h"

#include "base/strings.h"

namespace kiln {
namespace {

// "virtual T* kiln::api::{anonymous}::Service::Solve(Context*)" to the name alone.
std::string_view NameOf(std::string_view function) {
  std::string_view name = function.substr(0, function.find('('));
  return name.substr(name.rfind(' ') + 1);
}

// What is above the folders of this repository is the build machine's. Compilers name the
// files of one build alike: what stands before this one's path stands before the others'.
std::string_view FileOf(std::string_view path) {
  std::string_view above = std::source_location::current().file_name();
  above.remove_suffix(std::string_view("base/trace.cc").size());
  return TrimPrefix(path, above);
}

}  // namespace

TraceFrame FrameAt(const std::source_location& where) {
  return {std::string(NameOf(where.function_name())), std::string(FileOf(where.file_name())),
          static_cast<int>(where.line())};
}

Status Traced(Status status, std::source_location where) {
  TraceFrame frame = FrameAt(where);
  status.AddDetail(kFrameUrl, StrCat(frame.function, "\t", frame.file, "\t", frame.line));
  return status;
}

std::vector<TraceFrame> FramesOf(const Status& status) {
  std::vector<TraceFrame> frames;
  for (const StatusDetail& detail : status.details()) {
    if (detail.type_url != kFrameUrl) continue;
    std::vector<std::string_view> parts = StrSplit(detail.bytes, '\t');
    int64_t line = 0;
    if (parts.size() != 3 || !ParseInt64(parts[2], &line)) continue;
    frames.push_back({std::string(parts[0]), std::string(parts[1]), static_cast<int>(line)});
  }
  return frames;
}

}  // namespace kiln
