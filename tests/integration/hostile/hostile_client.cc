// A client: a session with one service, which follows the script, and one Solve.
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/method_handler.h>

#include <cstdio>

#include "api/client/connection.h"
#include "api/client/session.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "base/file.h"
#include "base/strings.h"
#include "llb/file_action.h"
#include "llb/source.h"
#include "llb/state.h"
#include "tests/integration/hostile/roles.h"

namespace kiln {
namespace {

using ::fsutil::types::Packet;
using Stream = grpc::ServerReaderWriter<Packet, Packet>;

class ScriptService final : public grpc::Service {
 public:
  ScriptService(const char* method, const std::vector<std::string>& script) : script_(script) {
    AddMethod(new grpc::internal::RpcServiceMethod(
        method, grpc::internal::RpcMethod::BIDI_STREAMING,
        new grpc::internal::BidiStreamingHandler<ScriptService, Packet, Packet>(
            [](ScriptService* service, grpc::ServerContext* context, Stream* stream) {
              PacketEnds ends;
              ends.read = [&](Packet* packet) { return stream->Read(packet); };
              ends.write = [&](const Packet& packet) { return stream->Write(packet); };
              ends.cancelled = [&] { return context->IsCancelled(); };
              RunPacketScript(service->script_, ends);
              return grpc::Status::OK;
            },
            this)));
  }

 private:
  const std::vector<std::string>& script_;
};

// Files that do not fit into what a connection holds.
llb::State Result() {
  llb::State state;
  for (int i = 0; i < 8; ++i) {
    llb::Mkfile file;
    file.path = StrCat("/file", i);
    file.data = std::string(1 << 20, static_cast<char>('a' + i));
    state = state.File(llb::FileAction(std::move(file)));
  }
  return state;
}

}  // namespace

int BeClient(const std::string& address, bool takes_export,
             const std::vector<std::string>& script) {
  api::ConnectionOptions options;
  options.address = address;
  auto connection = api::Connection::Open(options);
  if (!connection.ok()) return 2;
  const char* method =
      takes_export ? "/moby.filesync.v1.FileSend/DiffCopy" : "/moby.filesync.v1.FileSync/DiffCopy";
  api::Session session("hostile");
  session.Add({std::make_shared<ScriptService>(method, script), {method}});
  if (!session.Start(**connection).ok()) return 2;

  moby::buildkit::v1::SolveRequest request;
  request.set_ref(NewId());
  request.set_session(session.id());
  llb::LocalOptions local;
  local.session_id = session.id();
  local.shared_key_hint = NewId();  // no earlier copy
  llb::State state = takes_export ? Result() : llb::Local("context", std::move(local));
  *request.mutable_definition() = **state.Marshal();
  if (takes_export) request.add_exporters()->set_type("local");
  moby::buildkit::v1::SolveResponse response;
  grpc::ClientContext context;
  auto stub = moby::buildkit::v1::Control::NewStub((*connection)->channel());
  grpc::Status status = stub->Solve(&context, request, &response);
  std::printf("solve: %s\n", status.ok() ? "done" : status.error_message().c_str());
  std::fflush(stdout);
  session.Close();
  return status.ok() ? 0 : 1;
}

}  // namespace kiln
