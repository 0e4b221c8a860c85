#include "api/tunnel/error_stack.h"

#include <grpcpp/support/status.h>
#include <unistd.h>

#include "api/proto/stack.pb.h"
#include "api/tunnel/grpc_status.h"
#include "base/file.h"
#include "base/strings.h"
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

// "virtual T* kiln::api::{anonymous}::Service::Solve(Context*)" to the name alone.
std::string_view NameOf(std::string_view function) {
  std::string_view name = function.substr(0, function.find('('));
  return name.substr(name.rfind(' ') + 1);
}

// Sources lie two folders deep; what is above is the build machine's.
std::string_view FileOf(std::string_view path) {
  size_t start = path.size();
  for (int i = 0; i < 3 && start != std::string_view::npos && start > 0; ++i) {
    start = path.rfind('/', start - 1);
  }
  return start == std::string_view::npos ? path : path.substr(start + 1);
}

bool HasOwn(const Status& status) {
  stack::Stack known;
  for (const StatusDetail& detail : status.details()) {
    if (detail.type_url == kStackUrl && known.ParseFromString(detail.bytes) &&
        known.pid() == ::getpid()) {
      return true;
    }
  }
  return false;
}

}  // namespace

void SetStackVersion(std::string_view version, std::string_view revision) {
  ThisProgram() = {std::string(version), std::string(revision)};
}

Status WithStack(Status status, std::source_location where) {
  if (status.ok() || HasOwn(status)) return status;
  stack::Stack stack;
  stack.set_pid(::getpid());
  stack.set_version(ThisProgram().version);
  stack.set_revision(ThisProgram().revision);
  if (StatusOr<std::string> line = ReadFile("/proc/self/cmdline"); line.ok()) {
    for (std::string_view word : StrSplit(*line, '\0')) {
      if (!word.empty() && stack.cmdline_size() < kMostWords) stack.add_cmdline(ToValidUtf8(word));
    }
  }
  stack::Frame& frame = *stack.add_frames();
  frame.set_name(std::string(NameOf(where.function_name())));
  frame.set_file(std::string(FileOf(where.file_name())));
  frame.set_line(static_cast<int32_t>(where.line()));
  status.AddDetail(kStackUrl, stack.SerializeAsString());
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
