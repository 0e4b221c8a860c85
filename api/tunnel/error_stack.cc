#include "api/tunnel/error_stack.h"

#include <grpcpp/support/status.h>
#include <unistd.h>

#include <algorithm>

#include "api/proto/stack.pb.h"
#include "api/tunnel/grpc_status.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/trace.h"
#include "base/utf8.h"

namespace kiln::api {
namespace {

// Longer command lines tell no more, and errors travel in headers of limited size.
constexpr int kMostWords = 64;

struct Program {
  std::string version, revision;
};
Program& ThisProgram() {
  static Program program;
  return program;
}

// The same program: processes in containers have numbers of their own.
bool IsOwn(const stack::Stack& known, const stack::Stack& own) {
  return known.pid() == own.pid() && known.version() == own.version() &&
         std::equal(known.cmdline().begin(), known.cmdline().end(), own.cmdline().begin(),
                    own.cmdline().end());
}

stack::Stack OwnStack() {
  stack::Stack stack;
  stack.set_pid(::getpid());
  stack.set_version(ThisProgram().version);
  stack.set_revision(ThisProgram().revision);
  if (StatusOr<std::string> line = ReadFile("/proc/self/cmdline"); line.ok()) {
    for (std::string_view word : StrSplit(*line, '\0')) {
      if (!word.empty() && stack.cmdline_size() < kMostWords) stack.add_cmdline(ToValidUtf8(word));
    }
  }
  return stack;
}

// What this program knows of the way of an error since the last hop of it.
void AddFrames(const Status& status, const std::source_location& where, stack::Stack* stack) {
  std::vector<TraceFrame> frames = FramesOf(status);
  frames.push_back(FrameAt(where));
  for (const TraceFrame& in : frames) {
    stack::Frame& frame = *stack->add_frames();
    frame.set_name(in.function);
    frame.set_file(in.file);
    frame.set_line(in.line);
  }
}

}  // namespace

void SetStackVersion(std::string_view version, std::string_view revision) {
  ThisProgram() = {std::string(version), std::string(revision)};
}

Status WithStack(Status status, std::source_location where) {
  if (status.ok()) return status;
  stack::Stack own = OwnStack(), last;
  for (const StatusDetail& detail : status.details()) {
    if (detail.type_url == kStackUrl) last.ParseFromString(detail.bytes);
  }
  if (IsOwn(last, own)) return status;
  AddFrames(status, where, &own);
  status.AddDetail(kStackUrl, own.SerializeAsString());
  return status;
}

grpc::Status ToGrpcWithStack(const Status& status, std::source_location where) {
  return ToGrpc(WithStack(status, where));
}

std::string StackText(const Status& status) {
  std::string text;
  for (const StatusDetail& detail : status.details()) {
    stack::Stack stack;
    if (detail.type_url != kStackUrl || !stack.ParseFromString(detail.bytes)) continue;
    std::string words;
    for (const std::string& word : stack.cmdline()) words += StrCat(words.empty() ? "" : " ", word);
    text += StrCat(stack.pid(), " ", stack.version(), " ", words, "\n");
    for (const stack::Frame& frame : stack.frames()) {
      text += StrCat(frame.name(), "\n\t", frame.file(), ":", frame.line(), "\n");
    }
    text += "\n";
  }
  return text;
}

}  // namespace kiln::api
