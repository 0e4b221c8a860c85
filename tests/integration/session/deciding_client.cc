// A client that is asked about sources, and about exporters.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <mutex>

#include "api/client/connection.h"
#include "api/client/session.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/session/exporter.grpc.pb.h"
#include "api/proto/session/policysession.grpc.pb.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"
#include "llb/file_action.h"
#include "llb/source.h"
#include "llb/state.h"
#include "tests/integration/session/roles.h"

namespace kiln {
namespace {

namespace wire = moby::buildkit::v1;
namespace policy = wire::sourcepolicy::policysession;
namespace exporter = moby::exporter::v1;

class PolicyService final : public policy::PolicyVerifier::Service {
 public:
  explicit PolicyService(const std::vector<std::string>& answers) : answers_(answers) {}

  grpc::Status CheckPolicy(grpc::ServerContext*, const policy::CheckPolicyRequest* request,
                           policy::CheckPolicyResponse* response) override {
    std::lock_guard lock(mutex_);
    Print(*request);
    if (next_ == answers_.size()) return {grpc::StatusCode::INTERNAL, "no more answers"};
    std::string_view verb, rest;
    if (!StrCut(answers_[next_++], " ", &verb, &rest)) verb = answers_[next_ - 1];
    if (verb == "allow") response->mutable_decision()->set_action(wire::sourcepolicy::ALLOW);
    if (verb == "deny") {
      response->mutable_decision()->set_action(wire::sourcepolicy::DENY);
      response->mutable_decision()->add_denymessages()->set_message(std::string(rest));
    }
    if (verb == "convert") {
      response->mutable_decision()->set_action(wire::sourcepolicy::CONVERT);
      response->mutable_decision()->mutable_update()->set_identifier(
          StrCat("docker-image://", rest));
    }
    if (verb == "look" || verb == "other") {
      auto* more = response->mutable_request();
      *more->mutable_source() = request->source().source();
      *more->mutable_platform() = request->platform();
      if (verb == "other") {
        more->mutable_source()->set_identifier(StrCat("docker-image://", rest));
      } else {
        more->mutable_image()->set_attestationchain(true);
        if (!rest.empty()) more->mutable_image()->add_resolveattestations(std::string(rest));
      }
    }
    return grpc::Status::OK;
  }

 private:
  static void Print(const policy::CheckPolicyRequest& request) {
    const auto& source = request.source();
    std::printf("asked %s for %s/%s", source.source().identifier().c_str(),
                request.platform().os().c_str(), request.platform().architecture().c_str());
    if (source.has_image()) {
      std::printf(" digest %s config %zu", source.image().digest().c_str(),
                  source.image().config().size());
    }
    std::printf("\n");
    if (source.image().has_attestationchain()) {
      const auto& chain = source.image().attestationchain();
      std::printf("root %s\nimage %s\nattestation %s\n", chain.root().c_str(),
                  chain.imagemanifest().c_str(), chain.attestationmanifest().c_str());
      for (const std::string& digest : chain.signaturemanifests()) {
        std::printf("signature %s\n", digest.c_str());
      }
      for (const auto& [digest, blob] : chain.blobs()) {
        bool right = Digest::Of(blob.data()).text() == digest &&
                     static_cast<int64_t>(blob.data().size()) == blob.desc().size();
        std::printf("blob %s %s %s\n", digest.c_str(), blob.desc().media_type().c_str(),
                    right ? "right" : "WRONG");
      }
    }
    std::fflush(stdout);
  }

  std::mutex mutex_;
  const std::vector<std::string>& answers_;
  size_t next_ = 0;
};

class ExporterService final : public exporter::Exporter::Service {
 public:
  ExporterService(const std::string& answer, const std::vector<std::string>& attrs)
      : answer_(answer), attrs_(attrs) {}

  grpc::Status FindExporters(grpc::ServerContext*, const exporter::FindExportersRequest* request,
                             exporter::FindExportersResponse* response) override {
    std::printf("find: %d references\n", request->refs_size());
    std::fflush(stdout);
    if (answer_ == "fail") return {grpc::StatusCode::PERMISSION_DENIED, "not today"};
    if (answer_ == "none") return grpc::Status::OK;
    auto* one = response->add_exporters();
    one->set_type(answer_);
    for (const std::string& attr : attrs_) {
      std::string_view key, value;
      if (StrCut(attr, "=", &key, &value)) (*one->mutable_attrs())[std::string(key)] = value;
    }
    return grpc::Status::OK;
  }
  grpc::Status FinalizeExport(grpc::ServerContext*, const exporter::FinalizeExportRequest* request,
                              exporter::FinalizeExportResponse*) override {
    std::printf("finalize\n");
    for (const auto& [key, value] : request->exporter_response()) {
      std::printf("told %s=%s\n", key.c_str(), value.c_str());
    }
    std::fflush(stdout);
    return grpc::Status::OK;
  }

 private:
  const std::string& answer_;
  const std::vector<std::string>& attrs_;
};

// One Solve with a session of one service; `change` completes the request.
int Build(const std::string& address, api::Attachment attachment, const llb::State& state,
          const std::function<void(wire::SolveRequest*)>& change) {
  api::ConnectionOptions options;
  options.address = address;
  auto connection = api::Connection::Open(options);
  if (!connection.ok()) return 2;
  api::Session session("deciding");
  session.Add(std::move(attachment));
  if (!session.Start(**connection).ok()) return 2;
  wire::SolveRequest request;
  request.set_ref(NewId());
  request.set_session(session.id());
  *request.mutable_definition() = **state.Marshal();
  change(&request);
  wire::SolveResponse response;
  grpc::ClientContext context;
  auto stub = wire::Control::NewStub((*connection)->channel());
  grpc::Status status = stub->Solve(&context, request, &response);
  std::printf("solve: %s\n", status.ok() ? "done" : status.error_message().c_str());
  for (const auto& [key, value] : response.exporterresponse()) {
    std::printf("response %s=%s\n", key.c_str(), value.c_str());
  }
  std::fflush(stdout);
  session.Close();
  return status.ok() ? 0 : 1;
}

}  // namespace

int BeAsked(const std::string& address, const std::string& image,
            const std::vector<std::string>& answers) {
  const char* method =
      "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy";
  return Build(address, {std::make_shared<PolicyService>(answers), {method}}, llb::Image(image),
               [](wire::SolveRequest* request) {
                 request->set_sourcepolicysession(request->session());
               });
}

int BeExporter(const std::string& address, const std::string& answer,
               const std::vector<std::string>& attrs) {
  llb::Mkfile file;
  file.path = "/hello";
  file.data = "hello";
  return Build(address,
               {std::make_shared<ExporterService>(answer, attrs),
                {"/moby.exporter.v1.Exporter/FindExporters",
                 "/moby.exporter.v1.Exporter/FinalizeExport"}},
               llb::State().File(llb::FileAction(std::move(file))),
               [](wire::SolveRequest* request) { request->set_enablesessionexporter(true); });
}

}  // namespace kiln
