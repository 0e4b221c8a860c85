// VertexJob: the JobContext of one job of one vertex.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "solver/graph.h"
#include "solver/op.h"

namespace kiln::solver {

class BuildGraph;

// Thread-safe. Keeps the vertex alive.
class VertexJob : public JobContext {
 public:
  // `audience` is whom it speaks to and for: usually the vertex's own.
  VertexJob(BuildGraph& graph, std::shared_ptr<VertexNode> node,
            std::shared_ptr<Audience> audience, std::stop_token stop)
      : graph_(graph),
        node_(std::move(node)),
        audience_(std::move(audience)),
        stop_(std::move(stop)) {}

  std::vector<std::string> Sessions() const override;
  std::vector<std::string> Builds() const override;
  VertexProgress& progress() override { return audience_->progress(); }
  std::shared_ptr<LateWork> late_work() override;
  std::stop_token stop() const override { return stop_; }
  int compatibility_version() const override;
  StatusOr<cache::Ref> SubBuild(const llb::Edge& edge) override;
  void NoteFiles(const Digest& content, const std::function<std::string()>& files) override;
  StatusOr<std::string> Memo(std::string_view key,
                             const std::function<StatusOr<std::string>()>& compute) override;

 private:
  BuildGraph& graph_;
  const std::shared_ptr<VertexNode> node_;
  const std::shared_ptr<Audience> audience_;
  const std::stop_token stop_;
};

// Ids of requests, unique in the process. Thread-safe.
uint64_t NextRequestId();

}  // namespace kiln::solver
