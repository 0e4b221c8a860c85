// A frontend that means no good: the option "mode" says how. For the case
// gateway_hostile.sh, which counts what is left of it, and terminal_size.sh.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "api/proto/gateway.grpc.pb.h"
#include "base/strings.h"
#include "examples/custom-frontend/stdio_channel.h"
#include "llb/file_action.h"
#include "llb/source.h"
#include "llb/state.h"

extern char** environ;

namespace kiln {
namespace {

namespace gateway = moby::buildkit::v1::frontend;
using Bridge = gateway::LLBBridge::Stub;

std::string Option(std::string_view name) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view variable, value, key, option;
    if (StrCut(*entry, "=", &variable, &value) && variable.starts_with("BUILDKIT_FRONTEND_OPT_") &&
        StrCut(value, "=", &key, &option) && key == name) {
      return std::string(option);
    }
  }
  return "";
}

void Say(std::string_view what, const grpc::Status& status) {
  std::fprintf(stderr, "%.*s: %d %s\n", static_cast<int>(what.size()), what.data(),
               status.error_code(), status.error_message().c_str());
}

grpc::Status Solve(Bridge& bridge, const llb::State& state, bool evaluate, std::string* ref) {
  grpc::ClientContext context;
  gateway::SolveRequest request;
  request.set_allowresultreturn(true);
  request.set_allowresultarrayref(true);
  request.set_evaluate(evaluate);
  auto definition = state.Marshal();
  if (!definition.ok()) return grpc::Status(grpc::StatusCode::INTERNAL, "marshal");
  *request.mutable_definition() = **definition;
  gateway::SolveResponse response;
  grpc::Status status = bridge.Solve(&context, request, &response);
  if (status.ok()) *ref = response.result().ref().id();
  return status;
}

llb::State FileWith(const std::string& data) {
  llb::Mkfile file;
  file.path = "/file";
  file.data = data;
  return llb::State().File(llb::FileAction(std::move(file)));
}

grpc::Status Return(Bridge& bridge, const std::string& ref) {
  grpc::ClientContext context;
  gateway::ReturnRequest request;
  request.mutable_result()->mutable_ref()->set_id(ref);
  gateway::ReturnResponse response;
  return bridge.Return(&context, request, &response);
}

// Results without number, none of them used; the last one returned.
void ManySolves(Bridge& bridge, int64_t count, size_t bytes) {
  std::string ref;
  for (int64_t i = 0; i < count; ++i) {
    grpc::Status status =
        Solve(bridge, FileWith(StrCat(i, std::string(bytes, 'x'))), /*evaluate=*/false, &ref);
    if (!status.ok()) return Say(StrCat("solve ", i), status);
  }
  Say("return", Return(bridge, ref));
}

// The base image of the case.
grpc::Status SolveBase(Bridge& bridge, std::string* ref) {
  llb::OciLayoutOptions layout;
  layout.session_id = std::getenv("BUILDKIT_SESSION_ID");
  layout.store_id = "base";
  llb::State root = llb::OciLayout(StrCat("docker.io/library/base@", Option("base")), layout);
  return Solve(bridge, root, /*evaluate=*/true, ref);
}

grpc::Status MakeContainer(Bridge& bridge, const std::string& id, const std::string& ref) {
  grpc::ClientContext context;
  gateway::NewContainerRequest request;
  request.set_containerid(id);
  pb::Mount* mount = request.add_mounts();
  mount->set_dest("/");
  mount->set_resultid(ref);
  gateway::NewContainerResponse response;
  return bridge.NewContainer(&context, request, &response);
}

// Files of a container: what is there, and what is asked for in vain.
void ContainerFiles(Bridge& bridge) {
  std::string ref;
  grpc::Status status = SolveBase(bridge, &ref);
  if (status.ok()) status = MakeContainer(bridge, "c", ref);
  if (!status.ok()) return Say("container", status);
  auto read = [&](const char* container, const char* path, int index) {
    grpc::ClientContext context;
    gateway::ReadFileRequest request;
    request.set_ref(container);
    request.set_filepath(path);
    request.set_mountindex(index);
    gateway::ReadFileResponse response;
    grpc::Status done = bridge.ReadFileContainer(&context, request, &response);
    std::string first = response.data().substr(0, response.data().find(':'));
    Say(StrCat("read ", container, " ", path, " ", index, " ", first), done);
  };
  read("c", "/etc/passwd", 0);
  read("c", "/etc/nothing", 0);
  read("c", "etc/passwd", 0);
  read("c", "/etc", 0);
  read("other", "/etc/passwd", 0);
  read("c", "/etc/passwd", 7);
  grpc::ClientContext list_context, stat_context;
  gateway::ReadDirRequest list;
  list.set_ref("c");
  list.set_dirpath("/etc");
  gateway::ReadDirResponse entries;
  status = bridge.ReadDirContainer(&list_context, list, &entries);
  std::string names;
  for (const auto& entry : entries.entries()) names += StrCat(" ", entry.path());
  Say(StrCat("list", names), status);
  gateway::StatFileRequest stat;
  stat.set_ref("c");
  stat.set_path("/etc/passwd");
  gateway::StatFileResponse found;
  status = bridge.StatFileContainer(&stat_context, stat, &found);
  Say(StrCat("stat ", found.stat().path(), " of ", found.stat().size()), status);
  Say("return", Return(bridge, ref));
}

// A process on a terminal, which is given a size at the start and another while it runs.
// What the process prints goes on to stderr.
void Terminal(Bridge& bridge) {
  std::string ref;
  grpc::Status status = SolveBase(bridge, &ref);
  if (status.ok()) status = MakeContainer(bridge, "c", ref);
  if (!status.ok()) return Say("container", status);
  constexpr const char* kScript =
      "until [ \"$(stty size 2>&-)\" = '40 132' ]; do sleep 0.1; done; trap 'told=yes' WINCH;"
      "echo at the start; until [ \"$(stty size 2>&-) $told\" = '20 60 yes' ]; do sleep 0.1; done;"
      "echo changed; exit 5";
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  auto stream = bridge.ExecProcess(&context);
  gateway::ExecMessage message;
  message.set_processid("p");
  gateway::InitMessage* init = message.mutable_init();
  init->set_containerid("c");
  init->set_tty(true);
  for (const char* arg : {"/bin/sh", "-c", kScript}) init->mutable_meta()->add_args(arg);
  for (uint32_t fd : {0, 1}) init->add_fds(fd);
  stream->Write(message);
  auto resize = [&](uint32_t rows, uint32_t columns) {
    gateway::ExecMessage asked;
    asked.set_processid("p");
    asked.mutable_resize()->set_rows(rows);
    asked.mutable_resize()->set_cols(columns);
    stream->Write(asked);
  };
  std::string said;
  bool changed = false;
  while (stream->Read(&message)) {
    if (message.has_started()) resize(40, 132);
    if (message.has_file()) said += message.file().data();
    if (!changed && Contains(said, "at the start")) {
      changed = true;
      resize(20, 60);
    }
    if (!message.has_exit()) continue;
    std::fprintf(stderr, "terminal: %s: exit %u\n", ReplaceAll(said, "\r\n", ", ").c_str(),
                 message.exit().code());
    break;
  }
  Say("return", Return(bridge, ref));
  std::exit(0);
}

// Containers with a process each, none of them released.
void ManyContainers(Bridge& bridge, int64_t count, int64_t processes) {
  std::string ref;
  grpc::Status solved = SolveBase(bridge, &ref);
  if (!solved.ok()) return Say("solve", solved);
  for (int64_t i = 0; i < count; ++i) {
    grpc::Status status = MakeContainer(bridge, StrCat("c", i), ref);
    if (!status.ok()) return Say(StrCat("container ", i), status);
  }
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<gateway::ExecMessage, gateway::ExecMessage>>>
      streams;
  for (int64_t i = 0; i < processes; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(bridge.ExecProcess(contexts.back().get()));
    gateway::ExecMessage message;
    message.set_processid(StrCat("p", i));
    gateway::InitMessage* init = message.mutable_init();
    init->set_containerid(StrCat("c", i));
    for (const char* arg : {"/bin/sleep", "1000"}) init->mutable_meta()->add_args(arg);
    init->add_fds(1);
    streams.back()->Write(message);
    if (!streams.back()->Read(&message) || !message.has_started()) return Say("exec", {});
  }
  Say("return", Return(bridge, ref));
  std::exit(0);  // with everything open
}

// Streams that never say anything.
void ManyStreams(Bridge& bridge, int64_t count) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<gateway::ExecMessage, gateway::ExecMessage>>>
      streams;
  for (int64_t i = 0; i < count; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(bridge.ExecProcess(contexts.back().get()));
  }
  std::string ref;
  grpc::ClientContext context;
  gateway::PongResponse pong;
  Say("ping", bridge.Ping(&context, gateway::PingRequest(), &pong));
  std::exit(3);
}

// Asks and asks, and never returns.
void Endless(Bridge& bridge) {
  for (grpc::Status status; status.ok();) {
    grpc::ClientContext context;
    gateway::PongResponse pong;
    status = bridge.Ping(&context, gateway::PingRequest(), &pong);
  }
}

// What was never made, and a second result.
void Liar(Bridge& bridge) {
  Say("return", Return(bridge, "no-such-ref"));
  grpc::ClientContext context;
  gateway::ReadFileRequest request;
  request.set_ref("no-such-ref");
  request.set_filepath("/etc/shadow");
  gateway::ReadFileResponse response;
  Say("read", bridge.ReadFile(&context, request, &response));
  std::string ref;
  Solve(bridge, FileWith("x"), /*evaluate=*/false, &ref);
  Say("return", Return(bridge, ref));
  Say("return", Return(bridge, ref));
}

grpc::Status ReadFile(Bridge& bridge, const std::string& ref, const char* path, size_t* size) {
  grpc::ClientContext context;
  gateway::ReadFileRequest request;
  request.set_ref(ref);
  request.set_filepath(path);
  gateway::ReadFileResponse response;
  grpc::Status status = bridge.ReadFile(&context, request, &response);
  *size = response.data().size();
  return status;
}

// One large file, many times at once.
void ManyReads(Bridge& bridge, int64_t count, size_t bytes) {
  std::string ref;
  grpc::Status solved =
      Solve(bridge, FileWith(std::string(bytes, 'x')), /*evaluate=*/true, &ref);
  if (!solved.ok()) return Say("solve", solved);
  std::atomic<int64_t> whole = 0;
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      size_t size = 0;
      if (ReadFile(bridge, ref, "/file", &size).ok() && size == bytes) ++whole;
    });
  }
  for (std::thread& thread : threads) thread.join();
  Say(StrCat("whole files: ", whole.load(), ", return"), Return(bridge, ref));
}

// A file of the client's that does not fit into a message.
void LargeRead(Bridge& bridge) {
  llb::LocalOptions local;
  local.session_id = std::getenv("BUILDKIT_SESSION_ID");
  std::string ref;
  grpc::Status solved =
      Solve(bridge, llb::Local("context", std::move(local)), /*evaluate=*/true, &ref);
  if (!solved.ok()) return Say("solve", solved);
  size_t size = 0;
  Say("large", ReadFile(bridge, ref, "large", &size));
  Say("return", Return(bridge, ref));
}

// No malice: what the daemon says that it can, in numbers.
void Caps(Bridge& bridge) {
  grpc::ClientContext context;
  gateway::PongResponse pong;
  grpc::Status status = bridge.Ping(&context, gateway::PingRequest(), &pong);
  int llb = 0, gateway_caps = 0, deprecated = 0;
  for (const auto& cap : pong.llbcaps()) llb += cap.enabled();
  for (const auto& cap : pong.frontendapicaps()) {
    gateway_caps += cap.enabled();
    deprecated += cap.deprecated();
  }
  Say(StrCat("caps of llb: ", llb, ", of gateway: ", gateway_caps, ", deprecated: ", deprecated),
      status);
  Say("return", Return(bridge, ""));
}

// Bytes that are no message, and a method that there is not.
void Garbage(const std::shared_ptr<grpc::Channel>& channel) {
  for (const char* method : {"Solve", "ReadFile", "NewContainer", "Return", "Nothing"}) {
    grpc::GenericStub bridge(channel);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::Slice slice(std::string(100'000, '\xff'));
    grpc::ByteBuffer request(&slice, 1), response;
    auto call = bridge.PrepareUnaryCall(
        &context, StrCat("/moby.buildkit.v1.frontend.LLBBridge/", method), request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    Say(method, status);
  }
}

// Ends as frontends did before there was Return.
void OldEnd(Bridge& bridge) {
  grpc::ClientContext context;
  gateway::SolveRequest request;
  *request.mutable_definition() = **FileWith("old end").Marshal();
  request.set_final(true);
  request.set_exporterattr(R"({"frontend.said":"aGVsbG8="})");
  gateway::SolveResponse response;
  Say("solve", bridge.Solve(&context, request, &response));
}

int Main() {
  auto stdio = recipe::StdioChannel::Open();
  if (!stdio.ok()) return 2;
  Bridge bridge((*stdio)->channel());
  int64_t count = 0, bytes = 0;
  ParseInt64(Option("count"), &count);
  ParseInt64(Option("bytes"), &bytes);
  const std::string mode = Option("mode");
  if (mode == "solves") ManySolves(bridge, count, static_cast<size_t>(bytes));
  if (mode == "containers") ManyContainers(bridge, count, 2);
  if (mode == "streams") ManyStreams(bridge, count);
  if (mode == "endless") Endless(bridge);
  if (mode == "caps") Caps(bridge);
  if (mode == "container-files") ContainerFiles(bridge);
  if (mode == "terminal") Terminal(bridge);
  if (mode == "reads") ManyReads(bridge, count, static_cast<size_t>(bytes));
  if (mode == "large") LargeRead(bridge);
  if (mode == "liar") Liar(bridge);
  if (mode == "garbage") Garbage((*stdio)->channel());
  if (mode == "old-end") OldEnd(bridge);
  return 0;
}

}  // namespace
}  // namespace kiln

int main() { return kiln::Main(); }
