// Build: one build from request to response, in four steps.
//
// Read Run first: it is the table of contents of the daemon. What a frontend may
// ask meanwhile is bridge.h; who else watches is controller.h.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "control/attestations.h"
#include "control/bridge.h"
#include "control/build_context.h"
#include "control/cache_export.h"
#include "control/client_frontend.h"
#include "oci/descriptor.h"

namespace kiln::control {

// What the history keeps of a build, beside its end.
struct BuildFacts {
  frontend::StringMap metadata;                       // of the result
  std::map<std::string, std::string> provenance;      // JSON by platform id, "" for a single one
  std::map<int64_t, oci::Descriptor> results;         // by exporter index
};

// Run is called once; the rest is thread-safe.
class Build {
 public:
  // `requests` outlives the build.
  Build(const Services& services, RequestStore* requests, BuildRequest request);

  // Makes it known to the scheduler. Call before anybody can find the build: a client
  // that drives it may ask at once.
  void Enter();
  // Blocks until the build is over; a stop request cancels it. The progress log
  // is closed by the caller, who may have more to say.
  StatusOr<BuildResponse> Run(std::stop_token stop);

  const BuildContextPtr& context() const { return context_; }
  const BuildRequest& request() const { return context_->request; }
  // Complete once Run is over.
  const BuildFacts& facts() const { return facts_; }
  ProgressLog& progress() { return *context_->progress; }
  std::shared_ptr<ProgressLog> shared_progress() { return context_->progress; }
  // The client's end of a client-driven build, else null.
  ClientFrontend* client_frontend() { return client_ ? client_.get() : nullptr; }

 private:
  using Outputs = std::vector<std::unique_ptr<worker::Exporter>>;

  Status Load(Outputs* outputs);
  StatusOr<frontend::Result> Convert(std::stop_token stop);
  StatusOr<worker::ExportSource> Solve(frontend::Result* result, std::stop_token stop);
  StatusOr<BuildResponse> Finish(frontend::Result* result, Outputs& outputs,
                                 std::stop_token stop);
  Status AddSessionExporters(const frontend::Result& result, const worker::ExportSource& source,
                             Outputs* outputs);
  Status NoteProvenance(const frontend::Result& result);
  StatusOr<BuildResponse> Export(const worker::ExportSource& source, Outputs& outputs,
                                 std::stop_token stop);
  void WarnOfPlatforms(solver::VertexProgress& progress) const;
  StatusOr<BuildResponse> ExportOne(const worker::ExportSource& source, worker::Exporter& output,
                                    size_t index, std::stop_token stop);

  BuildContextPtr context_;
  std::unique_ptr<BuildBridge> bridge_;
  std::unique_ptr<ClientFrontend> client_;
  CacheExports cache_exports_;
  Attestations attestations_;
  std::shared_ptr<void> entry_;  // from Enter to the end of Run
  ResultCaptures captures_;
  std::mutex facts_mutex_;  // exports run side by side
  BuildFacts facts_;
  std::vector<std::string> platform_warnings_;
};

}  // namespace kiln::control
