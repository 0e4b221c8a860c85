// moby.buildkit.v1.Control: builds, progress, sessions, the cache, the history.
#include <grpcpp/grpcpp.h>

#include "api/proto/control.grpc.pb.h"
#include "api/server/history_codec.h"
#include "api/server/history_log.h"
#include "api/server/progress_codec.h"
#include "api/server/reactor.h"
#include "api/server/request_codec.h"
#include "api/server/services.h"
#include "api/server/worker_codec.h"
#include "api/tunnel/session_headers.h"
#include "base/log.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace wire = moby::buildkit::v1;

using SessionCall = BidiCall<wire::BytesMessage, wire::BytesMessage>;

// Clients measure how far their clock is from ours by it.
void AddTimestamp(grpc::CallbackServerContext* context) {
  context->AddInitialMetadata("buildkit-current-timestamp", FormatRfc3339Nano(Now()));
}

// The tunnel's view of a Session call.
class SessionStream : public ByteStream {
 public:
  explicit SessionStream(SessionCall& call) : call_(call) {}
  bool Read(std::string* bytes) override {
    wire::BytesMessage message;
    if (!call_.Read(&message)) return false;
    *bytes = std::move(*message.mutable_data());
    return true;
  }
  bool Write(std::string_view bytes) override {
    wire::BytesMessage message;
    message.set_data(bytes.data(), bytes.size());
    return call_.Write(std::move(message));
  }
  void Cancel() override { call_.EndReads(); }

 private:
  SessionCall& call_;
};

SessionFacts FactsOf(const grpc::CallbackServerContext& context) {
  SessionFacts facts;
  for (const auto& [key, value] : context.client_metadata()) {
    std::string_view name(key.data(), key.size());
    std::string text(value.data(), value.size());
    if (name == kSessionId) facts.id = text;
    if (name == kSessionName) facts.name = text;
    if (name == kSessionSharedKey) facts.shared_key = text;
    if (name == kSessionMethod) facts.methods.push_back(text);
    int64_t timeout = 0;
    if (name == kSessionHealthTimeout && ParseInt64(text, &timeout) && timeout > 0 &&
        timeout < INT32_MAX) {
      facts.health_timeout_ms = static_cast<int>(timeout);
    }
  }
  return facts;
}

class ControlService : public wire::Control::CallbackService {
 public:
  ControlService(const ServerParts& parts, CallThreads& threads)
      : parts_(parts), threads_(threads) {}

  grpc::ServerUnaryReactor* Solve(grpc::CallbackServerContext* context,
                                  const wire::SolveRequest* request,
                                  wire::SolveResponse* response) override {
    bool explain = context->client_metadata().contains("kiln-explain");
    return UnaryCall::Start(threads_, [=, this](std::stop_token stop) -> kiln::Status {
      auto solved = RunBuild(*request, explain, stop);
      if (!solved.ok()) {
        log::Error(StrCat("/moby.buildkit.v1.Control/Solve returned error: ",
                          solved.status().ToString()));
        return ForClients(solved.status());
      }
      response->mutable_exporterresponse()->insert(solved->begin(), solved->end());
      return OkStatus();
    });
  }

  grpc::ServerWriteReactor<wire::StatusResponse>* Status(
      grpc::CallbackServerContext* context, const wire::StatusRequest* request) override {
    AddTimestamp(context);
    return ServerStreamCall<wire::StatusResponse>::Start(
        threads_, [this, ref = request->ref()](auto& call, std::stop_token stop) -> kiln::Status {
          if (control::History* history = parts_.controller->history(); history != nullptr) {
            ASSIGN_OR_RETURN(bool replayed,
                             ReplayHistoryLog(*history, parts_.refs->content(), ref,
                                              [&call](wire::StatusResponse message) {
                                                return call.Write(std::move(message));
                                              }));
            if (replayed) return OkStatus();
          }
          ASSIGN_OR_RETURN(auto progress, parts_.controller->Progress(ref, stop));
          size_t cursor = 0;
          std::vector<solver::ProgressEvent> events;
          // The end of a step and the start of the next go into one message.
          constexpr std::chrono::milliseconds kCompany{20};
          while (progress->Next(&cursor, &events, stop, kCompany)) {
            for (auto& message : ToStatusResponses(std::move(events))) {
              if (!call.Write(std::move(message))) return CancelledError("client is gone");
            }
            events.clear();
          }
          return OkStatus();
        });
  }

  grpc::ServerBidiReactor<wire::BytesMessage, wire::BytesMessage>* Session(
      grpc::CallbackServerContext* context) override {
    return SessionCall::Start(
        threads_, [this, facts = FactsOf(*context)](auto& call, std::stop_token stop) {
          SessionStream stream(call);
          return parts_.sessions->Serve(facts, stream, stop);
        });
  }

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext*,
                                        const wire::ListWorkersRequest* request,
                                        wire::ListWorkersResponse* response) override {
    return UnaryCall::Start(threads_, [=, this](std::stop_token) -> kiln::Status {
      StatusOr<bool> matches = WorkerMatches(parts_.worker, request->filter());
      if (!matches.ok()) return ForClients(matches.status());
      if (!*matches) return OkStatus();
      auto* record = response->add_record();
      FillWorker(parts_.worker, parts_.version, record);
      if (parts_.devices != nullptr) FillDevices(*parts_.devices, record);
      return OkStatus();
    });
  }

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* context, const wire::InfoRequest*,
                                 wire::InfoResponse* response) override {
    FillVersion(parts_.version, response->mutable_buildkitversion());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* DiskUsage(grpc::CallbackServerContext*,
                                      const wire::DiskUsageRequest* request,
                                      wire::DiskUsageResponse* response) override {
    return UnaryCall::Start(threads_, [=, this](std::stop_token) -> kiln::Status {
      std::vector<std::string> filters(request->filter().begin(), request->filter().end());
      auto records = parts_.refs->Usage(filters);
      if (!records.ok()) return ForClients(records.status());
      for (const cache::UsageRecord& record : *records) {
        if (OldEnough(record, request->agelimit())) FillUsage(record, response->add_record());
      }
      return OkStatus();
    });
  }

  grpc::ServerWriteReactor<wire::UsageRecord>* Prune(grpc::CallbackServerContext*,
                                                     const wire::PruneRequest* request) override {
    cache::PruneOptions options{
        .filters = {request->filter().begin(), request->filter().end()},
        .all = request->all(),
        .keep_duration_nanos = request->keepduration(),
        .reserved_bytes = request->reservedspace(),
        .max_used_bytes = request->maxusedspace(),
        .min_free_bytes = request->minfreespace()};
    return ServerStreamCall<wire::UsageRecord>::Start(
        threads_, [this, options](auto& call, std::stop_token) {
          return ForClients(parts_.refs->Prune(options, [&](const cache::UsageRecord& record) {
            wire::UsageRecord message;
            FillUsage(record, &message);
            message.clear_recordtype();  // as in the reference, only DiskUsage tells it
            // A client that is gone misses the list; the prune goes on.
            call.Write(std::move(message));
          }));
        });
  }

  grpc::ServerWriteReactor<wire::BuildHistoryEvent>* ListenBuildHistory(
      grpc::CallbackServerContext* context, const wire::BuildHistoryRequest* request) override {
    AddTimestamp(context);
    return ServerStreamCall<wire::BuildHistoryEvent>::Start(
        threads_, [this, request](auto& call, std::stop_token stop) -> kiln::Status {
          control::History* history = parts_.controller->history();
          if (history == nullptr) return UnimplementedError("no build history");
          return history->Listen(ListenOptionsOf(*request), stop,
                                 [&](const control::HistoryEvent& event) -> kiln::Status {
                                   if (call.Write(ToHistoryEvent(event))) return OkStatus();
                                   return CancelledError("client is gone");
                                 });
        });
  }

  grpc::ServerUnaryReactor* UpdateBuildHistory(grpc::CallbackServerContext*,
                                               const wire::UpdateBuildHistoryRequest* request,
                                               wire::UpdateBuildHistoryResponse*) override {
    return UnaryCall::Start(threads_, [=, this](std::stop_token) -> kiln::Status {
      control::History* history = parts_.controller->history();
      if (history == nullptr) return UnimplementedError("no build history");
      return ForClients(UpdateHistory(*history, *request));
    });
  }

 private:
  StatusOr<control::BuildResponse> RunBuild(const wire::SolveRequest& request, bool explain,
                                            std::stop_token stop) {
    ASSIGN_OR_RETURN(control::BuildRequest build, ParseSolveRequest(request));
    build.explain = explain;
    return parts_.controller->Solve(std::move(build), stop);
  }

  const ServerParts& parts_;
  CallThreads& threads_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeControlService(const ServerParts& parts, CallThreads& threads) {
  return std::make_unique<ControlService>(parts, threads);
}

}  // namespace kiln::api
