// See build.h.
#include "api/client/build.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "api/client/cache_options.h"
#include "api/tunnel/go_error.h"
#include "api/client/layout_index.h"
#include "api/client/session.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/gateway.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "api/tunnel/grpc_status.h"
#include "api/tunnel/session_headers.h"
#include "base/file.h"
#include "base/trace.h"

namespace kiln::api {
namespace {

namespace gateway = ::moby::buildkit::v1::frontend;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kStatusQuiet{5};

// One build under way. Three calls run at once: Solve, the gateway's, Status.
class RunningBuild {
 public:
  RunningBuild(Client& client, BuildRequest request,
               const std::function<void(SolveStatus)>& on_status)
      : client_(client),
        request_(std::move(request)),
        on_status_(on_status),
        session_(request_.shared_key) {}

  Status Prepare(const std::function<void(const std::string&)>& on_warning);
  StatusOr<BuildResult> Run(std::stop_token stop);

 private:
  Status AddOutputs();
  void Solve();
  void Ask();
  void WatchStatus();
  void EndStatusWhenQuiet();
  Status UpdateLayouts();
  control::SolveRequest SolveMessage() const;
  Status AskGateway();

  Client& client_;
  BuildRequest request_;
  const std::function<void(SolveStatus)>& on_status_;
  Session session_;
  CachePlan cache_;
  std::map<std::string, std::string> stores_;
  std::vector<std::string> layouts_to_update_;

  grpc::ClientContext solve_context_;
  grpc::ClientContext status_context_;
  grpc::ClientContext gateway_context_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool solved_ = false;
  bool status_over_ = false;
  steady_clock::time_point last_status_ = steady_clock::now();
  std::optional<Status> first_failure_;
  BuildResult result_;
};

Status RunningBuild::AddOutputs() {
  std::map<int, OutputTarget> targets;
  for (size_t i = 0; i < request_.exports.size(); ++i) {
    ExportEntry& entry = request_.exports[i];
    int id = static_cast<int>(i);
    bool store = (entry.type == "oci" || entry.type == "docker") && !entry.dir.empty();
    if (store) {
      RETURN_IF_ERROR(MakeDirs(entry.dir));
      if (!stores_.emplace("export", entry.dir).second) {
        return UnknownError("oci store key \"export\" already exists");
      }
      layouts_to_update_.push_back(entry.dir);
    } else if (entry.type == "local") {
      auto mode = entry.attrs.find("mode");
      bool mirror = mode != entry.attrs.end() && mode->second == "delete";
      if (mode != entry.attrs.end() && !mirror && mode->second != "copy" && !mode->second.empty()) {
        return UnknownError(StrCat("invalid local exporter mode ", Quote(mode->second)));
      }
      targets[id] = {entry.dir, mirror, nullptr};
    } else if (entry.file != nullptr) {
      targets[id] = {"", false, entry.file};
    }
  }
  if (!stores_.empty()) session_.Add(ServeContent(stores_));
  if (!targets.empty()) session_.Add(ServeOutputs(std::move(targets)));
  return OkStatus();
}

Status RunningBuild::Prepare(const std::function<void(const std::string&)>& on_warning) {
  ASSIGN_OR_RETURN(cache_, PlanCache(request_.cache_exports, request_.cache_imports));
  for (const std::string& warning : cache_.warnings) on_warning(warning);
  if (!request_.local_dirs.empty()) session_.Add(ServeFiles(request_.local_dirs));
  for (Attachment& attachment : request_.attachments) session_.Add(std::move(attachment));
  stores_ = cache_.stores;
  for (const auto& [name, dir] : request_.oci_layouts) stores_["oci:" + name] = dir;
  return AddOutputs();
}

control::SolveRequest RunningBuild::SolveMessage() const {
  control::SolveRequest message;
  message.set_ref(request_.ref);
  message.set_session(session_.id());
  for (const ExportEntry& entry : request_.exports) {
    control::Exporter* exporter = message.add_exporters();
    exporter->set_type(entry.type);
    exporter->mutable_attrs()->insert(entry.attrs.begin(), entry.attrs.end());
  }
  if (!request_.exports.empty()) {
    // What daemons before v0.13 read.
    message.set_exporterdeprecated(request_.exports.front().type);
    message.mutable_exporterattrsdeprecated()->insert(request_.exports.front().attrs.begin(),
                                                      request_.exports.front().attrs.end());
  }
  auto add = [](const CacheEntry& entry, control::CacheOptionsEntry* out) {
    out->set_type(entry.type);
    out->mutable_attrs()->insert(entry.attrs.begin(), entry.attrs.end());
  };
  message.mutable_cache();
  for (const CacheEntry& entry : cache_.exports) add(entry, message.mutable_cache()->add_exports());
  for (const CacheEntry& entry : cache_.imports) add(entry, message.mutable_cache()->add_imports());
  for (const auto& [key, value] : request_.frontend_attrs) {
    (*message.mutable_frontendattrs())[key] = value;
  }
  if (!cache_.imports.empty()) {
    (*message.mutable_frontendattrs())["cache-imports"] = CacheImportsJson(cache_.imports);
  }
  for (const std::string& name : request_.entitlements) message.add_entitlements(name);
  if (!request_.source_policy.empty()) {
    message.mutable_sourcepolicy()->ParseFromString(request_.source_policy);
  }
  message.set_proxynetwork(request_.proxy_network);
  return message;
}

void RunningBuild::Solve() {
  control::SolveResponse response;
  if (request_.explain) solve_context_.AddMetadata("kiln-explain", "1");
  grpc::Status status = control::Control::NewStub(client_.connection().channel())
                            ->Solve(&solve_context_, SolveMessage(), &response);
  {
    std::lock_guard lock(mutex_);
    solved_ = true;
    last_status_ = steady_clock::now();
    if (!status.ok() && !first_failure_.has_value()) {
      first_failure_ = Traced(Annotate(UnaryError(status), "failed to solve"));
    }
    for (const auto& [key, value] : response.exporterresponse()) {
      result_.exporter_response[key] = value;
    }
  }
  wake_.notify_all();
  session_.Close();
}

Status RunningBuild::AskGateway() {
  auto stub = gateway::LLBBridge::NewStub(client_.connection().channel());
  std::string build_id(kBuildId);
  {
    grpc::ClientContext context;
    context.AddMetadata(build_id, request_.ref);
    context.set_deadline(std::chrono::system_clock::now() + seconds(15));
    gateway::PongResponse pong;
    RETURN_IF_ERROR(UnaryError(stub->Ping(&context, {}, &pong)));
  }
  gateway::SolveRequest solve;
  solve.set_frontend(request_.frontend);
  for (const auto& [key, value] : request_.frontend_attrs) {
    (*solve.mutable_frontendopt())[key] = value;
  }
  bool subrequest = request_.frontend_attrs.contains("requestid");
  if (subrequest && !request_.frontend_attrs.contains("frontend.caps")) {
    (*solve.mutable_frontendopt())["frontend.caps"] = "moby.buildkit.frontend.subrequests";
  }
  if (!cache_.imports.empty() && !solve.frontendopt().contains("cache-imports")) {
    (*solve.mutable_frontendopt())["cache-imports"] = CacheImportsJson(cache_.imports);
  }
  for (const CacheEntry& entry : request_.cache_imports) {
    gateway::CacheOptionsEntry* out = solve.add_cacheimports();
    out->set_type(entry.type);
    out->mutable_attrs()->insert(entry.attrs.begin(), entry.attrs.end());
  }
  if (!request_.definition.empty()) {
    solve.mutable_definition()->ParseFromString(request_.definition);
  }
  solve.set_allowresultreturn(true);
  solve.set_allowresultarrayref(true);
  gateway::SolveResponse answer;
  gateway_context_.AddMetadata(build_id, request_.ref);
  grpc::Status status = stub->Solve(&gateway_context_, solve, &answer);
  gateway::ReturnRequest back;
  if (status.ok()) {
    *back.mutable_result() = answer.result();
    if (!answer.has_result()) back.mutable_result()->mutable_ref()->set_id(answer.ref());
    if (subrequest) {
      std::lock_guard lock(mutex_);
      for (const auto& [key, value] : answer.result().metadata()) result_.metadata[key] = value;
    }
  } else {
    ToRpcStatus(WithStack(Traced(FromGrpc(status))), back.mutable_error());
  }
  grpc::ClientContext context;
  context.AddMetadata(build_id, request_.ref);
  gateway::ReturnResponse nothing;
  grpc::Status returned = stub->Return(&context, back, &nothing);
  return UnaryError(status.ok() ? returned : status);
}

void RunningBuild::Ask() {
  Status status = AskGateway();
  if (status.ok()) return;
  status = Annotate(status, "failed to run Build function");
  // Solve should fail as well, with the better text; it gets a moment for that.
  std::unique_lock lock(mutex_);
  if (!wake_.wait_for(lock, kStatusQuiet, [this] { return solved_; })) solve_context_.TryCancel();
  if (!first_failure_.has_value()) first_failure_ = status;
}

void RunningBuild::WatchStatus() {
  control::StatusRequest request;
  request.set_ref(request_.ref);
  auto stub = control::Control::NewStub(client_.connection().channel());
  auto reader = stub->Status(&status_context_, request);
  control::StatusResponse response;
  while (reader->Read(&response)) {
    {
      std::lock_guard lock(mutex_);
      last_status_ = steady_clock::now();
    }
    on_status_(SolveStatusOf(response));
  }
  grpc::Status status = reader->Finish();
  std::lock_guard lock(mutex_);
  status_over_ = true;
  if (!status.ok() && status.error_code() != grpc::StatusCode::CANCELLED &&
      !first_failure_.has_value()) {
    first_failure_ = Annotate(StreamError(status), "failed to receive status");
  }
  wake_.notify_all();
}

// After Solve the stream ends by itself; if the daemon forgets to, we do not wait for ever.
void RunningBuild::EndStatusWhenQuiet() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return solved_; });
  while (!status_over_) {
    auto until = last_status_ + kStatusQuiet;
    if (wake_.wait_until(lock, until, [this] { return status_over_; })) return;
    if (steady_clock::now() >= last_status_ + kStatusQuiet) {
      status_context_.TryCancel();
      return;
    }
  }
}

Status RunningBuild::UpdateLayouts() {
  const auto& response = result_.exporter_response;
  if (auto cache = response.find("cache.manifest"); cache != response.end() && !cache->second.empty()) {
    for (const auto& [dir, tag] : cache_.tags) {
      RETURN_IF_ERROR(LayoutIndex(dir).Put(cache->second, {{tag, true}}));
    }
  }
  if (auto image = response.find("containerimage.descriptor"); image != response.end()) {
    std::string descriptor;
    if (!Base64Decode(image->second, &descriptor)) return UnknownError("illegal base64 data");
    std::vector<LayoutName> names = {{"latest", true}};
    if (auto name = response.find("image.name"); name != response.end()) {
      names.clear();
      for (std::string_view part : StrSplit(name->second, ',')) {
        names.push_back({std::string(part), false});
      }
    }
    for (const std::string& dir : layouts_to_update_) {
      RETURN_IF_ERROR(LayoutIndex(dir).Put(descriptor, names));
    }
  }
  for (const std::string& dir : cache_.reset) ResetCacheFolder(dir).IgnoreError();
  return OkStatus();
}

StatusOr<BuildResult> RunningBuild::Run(std::stop_token stop) {
  RETURN_IF_ERROR(session_.Start(client_.connection()));
  std::stop_callback on_stop(stop, [this] {
    solve_context_.TryCancel();
    gateway_context_.TryCancel();
  });
  std::thread solve([this] { Solve(); });
  std::thread ask([this] { Ask(); });
  std::thread watch([this] { WatchStatus(); });
  EndStatusWhenQuiet();
  solve.join();
  ask.join();
  watch.join();
  if (stop.stop_requested()) {
    return CancelledError("failed to solve: Canceled: context canceled");
  }
  if (first_failure_.has_value()) return *first_failure_;
  RETURN_IF_ERROR(UpdateLayouts());
  return std::move(result_);
}

}  // namespace

StatusOr<BuildResult> Build(Client& client, BuildRequest request,
                            const std::function<void(SolveStatus)>& on_status,
                            const std::function<void(const std::string&)>& on_warning,
                            std::stop_token stop) {
  control::ListWorkersResponse workers;
  RETURN_IF_ERROR(Annotate(client.ListWorkers({}, &workers), "listing workers for Build"));
  RunningBuild build(client, std::move(request), on_status);
  RETURN_IF_ERROR(build.Prepare(on_warning));
  return build.Run(stop);
}

}  // namespace kiln::api
