// One build request to two frontends in one session: is what they return the same?
//
//   frontend-twice ADDRESS [local NAME DIR] [layout NAME DIR] [input NAME IMAGE] [opt KEY VALUE]
//                  [second KEY VALUE] [dump FILE]
//
// The first is dockerfile.v0, the second gateway.v0, which has the options after `second` in
// addition. Nothing is built but what the frontends read. Prints "equal" or what differs;
// with `dump`, both results go to FILE.1 and FILE.2. Definitions are compared byte for byte,
// after random ids of progress groups got numbers; metadata and errors likewise.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "api/client/attachments.h"
#include "api/client/connection.h"
#include "api/client/session.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/errdefs.pb.h"
#include "api/proto/gateway.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "api/tunnel/grpc_status.h"
#include "api/tunnel/session_headers.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"
#include "llb/source.h"
#include "llb/state.h"

namespace kiln {
namespace {

namespace gateway = moby::buildkit::v1::frontend;

struct Request {
  std::string address, dump;
  std::map<std::string, std::string> locals, layouts, inputs, opts, second;
};

// What a frontend answered, part by part.
using Answer = std::map<std::string, std::string>;

Request Parse(int argc, char** argv) {
  Request request;
  request.address = argv[1];
  for (int i = 2; i + 1 < argc;) {
    const std::string word = argv[i];
    if (word == "dump") {
      request.dump = argv[i + 1];
      i += 2;
      continue;
    }
    if (i + 2 >= argc) std::exit(2);
    auto& into = word == "local"    ? request.locals
                 : word == "layout" ? request.layouts
                 : word == "input"  ? request.inputs
                 : word == "opt"    ? request.opts
                                    : request.second;
    into[argv[i + 1]] = argv[i + 2];
    i += 3;
  }
  return request;
}

std::string Deterministic(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

std::string DefinitionText(pb::Definition definition) {
  std::map<std::string, std::string> groups;
  for (const std::string& op : definition.def()) {
    auto metadata = definition.mutable_metadata()->find(Digest::Of(op).text());
    if (metadata == definition.mutable_metadata()->end()) continue;
    if (!metadata->second.has_progress_group()) continue;
    std::string* id = metadata->second.mutable_progress_group()->mutable_id();
    auto [known, is_new] = groups.try_emplace(*id, StrCat("progress-group-", groups.size() + 1));
    *id = known->second;
  }
  return Deterministic(definition);
}

void AddError(const grpc::Status& grpc_status, Answer* answer) {
  const Status status = api::FromGrpc(grpc_status);
  (*answer)["error"] = StrCat(static_cast<int>(status.code()), " ", status.message());
  int number = 0;
  for (const StatusDetail& detail : status.details()) {
    // The steps of a stack are each program's own; that another frontend failed is so.
    if (detail.type_url == api::kStackUrl || detail.type_url.ends_with("errdefs.Frontend+json")) {
      continue;
    }
    errdefs::Source source;  // its maps are in no order
    bool ordered = !detail.type_url.ends_with("errdefs.Source+json") ||
                   !source.ParseFromString(detail.bytes);
    (*answer)[StrCat("error detail ", ++number, " ", detail.type_url)] =
        ordered ? detail.bytes : Deterministic(source);
  }
}

class Twice {
 public:
  Twice(Request request, api::Connection& connection)
      : request_(std::move(request)),
        connection_(connection),
        session_("frontend-twice"),
        bridge_(gateway::LLBBridge::NewStub(connection.channel())) {}

  // 0: equal; 1: not; 2: there is nothing to compare.
  int Run() {
    session_.Add(api::ServeFiles(request_.locals));
    std::map<std::string, std::string> stores;
    for (const auto& [name, dir] : request_.layouts) stores["oci:" + name] = dir;
    session_.Add(api::ServeContent(stores));
    if (!session_.Start(connection_).ok()) return 2;
    std::thread build([this] { Build(); });
    const Answer first = Ask("dockerfile.v0", {});
    const Answer second = Ask("gateway.v0", request_.second);
    Return();
    build.join();
    session_.Close();
    Dump(first, "1");
    Dump(second, "2");
    return Compare(first, second);
  }

 private:
  void Build() {
    moby::buildkit::v1::SolveRequest solve;
    solve.set_ref(id_);
    solve.set_session(session_.id());
    solve.mutable_cache();
    grpc::ClientContext context;
    moby::buildkit::v1::SolveResponse response;
    moby::buildkit::v1::Control::NewStub(connection_.channel())
        ->Solve(&context, solve, &response);
  }

  Answer Ask(const std::string& frontend, const std::map<std::string, std::string>& more) {
    gateway::SolveRequest solve;
    solve.set_frontend(frontend);
    for (const auto* opts : {&request_.opts, &more}) {
      for (const auto& [key, value] : *opts) (*solve.mutable_frontendopt())[key] = value;
    }
    for (const auto& [name, image] : request_.inputs) {
      (*solve.mutable_frontendinputs())[name] = **llb::Image(image).Marshal();
    }
    solve.set_allowresultreturn(true);
    solve.set_allowresultarrayref(true);
    grpc::ClientContext context;
    context.AddMetadata(std::string(api::kBuildId), id_);
    gateway::SolveResponse response;
    grpc::Status status = bridge_->Solve(&context, solve, &response);
    Answer answer;
    if (!status.ok()) {
      AddError(status, &answer);
      return answer;
    }
    const gateway::Result& result = response.result();
    for (const auto& [key, value] : result.metadata()) answer["metadata " + key] = value;
    answer["definition"] = DefinitionText(result.ref().def());
    for (const auto& [platform, ref] : result.refs().refs()) {
      answer["definition of " + platform] = DefinitionText(ref.def());
    }
    return answer;
  }

  void Return() {
    grpc::ClientContext context;
    context.AddMetadata(std::string(api::kBuildId), id_);
    gateway::ReturnRequest request;
    request.mutable_result()->mutable_ref();
    gateway::ReturnResponse response;
    bridge_->Return(&context, request, &response);
  }

  void Dump(const Answer& answer, const char* which) const {
    if (request_.dump.empty()) return;
    std::string text;
    for (const auto& [part, bytes] : answer) text += StrCat("== ", part, "\n", bytes, "\n");
    WriteFileAtomic(StrCat(request_.dump, ".", which), text).IgnoreError();
  }

  static int Compare(const Answer& first, const Answer& second) {
    std::string differs;
    for (const auto& [part, bytes] : first) {
      auto other = second.find(part);
      if (other == second.end()) {
        differs += StrCat("only the first has ", part, "\n");
      } else if (other->second != bytes) {
        bool text = part == "error";
        differs += StrCat(part, " differs\n",
                          text ? StrCat("  1: ", bytes, "\n  2: ", other->second, "\n") : "");
      }
    }
    for (const auto& [part, bytes] : second) {
      if (first.contains(part)) continue;
      differs += StrCat("only the second has ", part, part == "error" ? ": " + bytes : "", "\n");
    }
    const bool failed = first.contains("error");
    std::printf("%s%s\n", differs.c_str(),
                !differs.empty() ? "not equal" : failed ? "equal, an error" : "equal");
    return differs.empty() ? 0 : 1;
  }

  const Request request_;
  api::Connection& connection_;
  api::Session session_;
  std::unique_ptr<gateway::LLBBridge::Stub> bridge_;
  const std::string id_ = NewId();
};

}  // namespace
}  // namespace kiln

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  kiln::Request request = kiln::Parse(argc, argv);
  kiln::api::ConnectionOptions options;
  options.address = request.address;
  auto connection = kiln::api::Connection::Open(options);
  if (!connection.ok()) return 2;
  return kiln::Twice(std::move(request), **connection).Run();
}
