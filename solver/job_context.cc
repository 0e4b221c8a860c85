#include "solver/job_context.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <utility>

#include "solver/build_graph.h"

namespace kiln::solver {
namespace {

class AudienceWork : public LateWork {
 public:
  explicit AudienceWork(std::shared_ptr<Audience> audience) : audience_(std::move(audience)) {}
  void Begin() override {
    std::lock_guard lock(mutex_);
    if (running_++ == 0) audience_->Started(false);
  }
  void End(const Status& status) override {
    std::lock_guard lock(mutex_);
    // The step that needed it tells the failure; this one is left as it is, and shown
    // as canceled when the build goes.
    failed_ = failed_ || !status.ok();
    if (--running_ == 0 && !std::exchange(failed_, false)) {
      audience_->Completed(OkStatus(), false);
    }
  }
  VertexProgress& progress() override { return audience_->progress(); }

 private:
  const std::shared_ptr<Audience> audience_;
  std::mutex mutex_;
  int running_ = 0;
  bool failed_ = false;
};

}  // namespace

std::shared_ptr<LateWork> VertexJob::late_work() {
  return std::make_shared<AudienceWork>(audience_);
}

uint64_t NextRequestId() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

std::vector<std::string> VertexJob::Sessions() const {
  std::vector<std::string> sessions;
  for (const BuildStatePtr& build : audience_->builds()) {
    const std::string& session = build->session();
    if (session.empty()) continue;
    if (std::find(sessions.begin(), sessions.end(), session) == sessions.end()) {
      sessions.push_back(session);
    }
  }
  return sessions;
}

std::vector<std::string> VertexJob::Builds() const {
  std::vector<std::string> ids;
  for (const BuildStatePtr& build : audience_->builds()) ids.push_back(build->id());
  return ids;
}

void VertexJob::NoteFiles(const Digest& content, const std::function<std::string()>& files) {
  cache::KeyIndex& index = graph_.index();
  if (!index.WantsFiles(content.text())) return;
  std::string list = files();
  if (!list.empty()) index.KeepFiles(content.text(), std::move(list)).IgnoreError();
}

int VertexJob::compatibility_version() const {
  std::vector<BuildStatePtr> builds = audience_->builds();
  return builds.empty() ? 0 : builds.front()->compatibility_version();
}

// With several builds the first one's memo is asked; a build that joins later
// computes for itself, as if it had come alone.
StatusOr<std::string> VertexJob::Memo(std::string_view key,
                                      const std::function<StatusOr<std::string>()>& compute) {
  std::vector<BuildStatePtr> builds = audience_->builds();
  return builds.empty() ? compute() : builds.front()->Memo(key, compute);
}

StatusOr<cache::Ref> VertexJob::SubBuild(const llb::Edge& edge) {
  auto answer = std::make_shared<std::promise<StatusOr<EdgeResult>>>();
  uint64_t id = NextRequestId();
  graph_.Enter([&graph = graph_, node = node_, id, edge, answer] {
    graph.SolveSub(id, node, edge,
                   [answer](StatusOr<EdgeResult> result) { answer->set_value(std::move(result)); });
  });
  std::stop_callback cancel(stop_, [&graph = graph_, id] {
    graph.Enter([&graph, id] { graph.CancelRequest(id, CancelledError("context canceled")); });
  });
  ASSIGN_OR_RETURN(EdgeResult result, answer->get_future().get());
  return std::move(result.ref);
}

}  // namespace kiln::solver
