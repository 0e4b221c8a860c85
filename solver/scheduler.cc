// The thread of the graph: Asio's loop as its mailbox. The only file with Asio.
#include "solver/scheduler.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "solver/build_graph.h"
#include "solver/job_context.h"

namespace kiln::solver {
namespace {

namespace asio = boost::asio;

// How long the end of a build waits for what it stopped to say how it ended.
constexpr std::chrono::seconds kStopWait{10};

class AsioMailbox : public Mailbox {
 public:
  void Post(std::function<void()> function) override { asio::post(context_, std::move(function)); }
  void Run() { context_.run(); }
  void Release() { guard_.reset(); }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{context_.get_executor()};
};

}  // namespace

struct Scheduler::Loop {
  Loop(cache::KeyIndex& index, OpResolver& ops, JobPools pools)
      : mailbox(std::make_shared<AsioMailbox>()),
        graph({index, ops, pools, mailbox, [this] { mailbox->Release(); },
               std::make_shared<JobPool>("index", 1)}),
        thread([this] { mailbox->Run(); }) {}

  std::shared_ptr<AsioMailbox> mailbox;
  BuildGraph graph;
  std::thread thread;
};

Scheduler::Scheduler(cache::KeyIndex& index, OpResolver& ops, JobPools pools)
    : loop_(std::make_unique<Loop>(index, ops, pools)) {}

Scheduler::~Scheduler() {
  BuildGraph& graph = loop_->graph;
  graph.Enter([&graph] { graph.Close(); });
  loop_->thread.join();
}

void Scheduler::StartBuild(BuildOptions options) {
  BuildGraph& graph = loop_->graph;
  graph.Enter([&graph, options = std::move(options)] { graph.StartBuild(options); });
}

void Scheduler::EndBuild(const std::string& build) {
  BuildGraph& graph = loop_->graph;
  auto ended = std::make_shared<std::promise<void>>();
  graph.Enter([&graph, build, ended] { graph.EndBuild(build, [ended] { ended->set_value(); }); });
  std::future<void> future = ended->get_future();
  if (future.wait_for(kStopWait) == std::future_status::ready) return;
  graph.Enter([&graph, build] { graph.AbandonRuns(build); });
  future.wait_for(kStopWait);
}

void Scheduler::Solve(const std::string& build, llb::Edge edge, SolveOptions options, Done done) {
  BuildGraph& graph = loop_->graph;
  graph.Enter([&graph, build, edge = std::move(edge), options = std::move(options),
               done = std::move(done), id = NextRequestId()] {
    graph.Solve(id, build, edge, options, done);
  });
}

StatusOr<EdgeResult> Scheduler::SolveAndWait(const std::string& build, llb::Edge edge,
                                             SolveOptions options, std::stop_token stop) {
  BuildGraph& graph = loop_->graph;
  auto answer = std::make_shared<std::promise<StatusOr<EdgeResult>>>();
  uint64_t id = NextRequestId();
  graph.Enter([&graph, id, build, edge = std::move(edge), options = std::move(options), answer] {
    graph.Solve(id, build, edge, options, [answer](StatusOr<EdgeResult> result) {
      answer->set_value(std::move(result));
    });
  });
  std::stop_callback cancel(stop, [&graph, id] {
    graph.Enter([&graph, id] { graph.CancelRequest(id, CancelledError("context canceled")); });
  });
  return answer->get_future().get();
}

ExportPlan Scheduler::PlanExport(const std::vector<std::shared_ptr<const CacheKey>>& keys) {
  BuildGraph& graph = loop_->graph;
  std::promise<ExportPlan> plan;
  graph.Enter([&] { plan.set_value(graph.PlanExport(keys)); });
  return plan.get_future().get();
}

StatusOr<std::string> Scheduler::Memo(const std::string& build, std::string_view key,
                                      const std::function<StatusOr<std::string>()>& compute) {
  BuildGraph& graph = loop_->graph;
  std::promise<BuildStatePtr> found;
  graph.Enter([&] { found.set_value(graph.FindBuild(build)); });
  const BuildStatePtr state = found.get_future().get();
  return state == nullptr ? compute() : state->Memo(key, compute);
}

void Scheduler::Hold(const std::string& build, std::shared_ptr<void> object) {
  BuildGraph& graph = loop_->graph;
  std::promise<BuildStatePtr> found;
  graph.Enter([&] { found.set_value(graph.FindBuild(build)); });
  if (const BuildStatePtr state = found.get_future().get()) state->Hold(std::move(object));
}

void Scheduler::Cancel(const std::string& build, Status reason) {
  BuildGraph& graph = loop_->graph;
  graph.Enter([&graph, build, reason = std::move(reason)] { graph.CancelBuild(build, reason); });
}

}  // namespace kiln::solver
