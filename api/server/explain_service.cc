// kiln.v1.Explain: why the steps of a build ran. Only Kiln has it.
#include <grpcpp/grpcpp.h>

#include "api/proto/explain.grpc.pb.h"
#include "api/server/reactor.h"
#include "api/server/services.h"
#include "cache/index/key_index.h"
#include "solver/explain.h"

namespace kiln::api {
namespace {

namespace wire = kiln::v1;

void Fill(const solver::ExplainedStep& step, wire::ExplainedStep* out) {
  out->set_digest(step.digest);
  out->set_name(step.name);
  out->set_outcome(step.outcome);
  out->set_key(step.key);
  out->set_source(step.source);
  if (step.cause.kind.empty()) return;
  out->mutable_cause()->set_kind(step.cause.kind);
  out->mutable_cause()->set_text(step.cause.text);
  out->mutable_cause()->set_path(step.cause.path);
  out->mutable_cause()->set_step(step.cause.step);
}

class ExplainService : public wire::Explain::CallbackService {
 public:
  ExplainService(const ServerParts& parts, CallThreads& threads)
      : keys_(parts.keys), threads_(threads) {}

  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext*,
                                    const wire::ExplainRequest* request,
                                    wire::ExplainResponse* response) override {
    return UnaryCall::Start(threads_, [=, this](std::stop_token) -> kiln::Status {
      const cache::RecipeLog* recipes = keys_ == nullptr ? nullptr : keys_->recipes();
      if (recipes == nullptr) return UnimplementedError("no recipes are kept");
      RETURN_IF_ERROR(keys_->Flush());
      ASSIGN_OR_RETURN(solver::Explanation found, solver::Explain(*recipes, request->build()));
      response->set_build(found.build);
      for (const solver::ExplainedStep& step : found.steps) Fill(step, response->add_steps());
      return OkStatus();
    });
  }

 private:
  cache::KeyIndex* keys_;
  CallThreads& threads_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeExplainService(const ServerParts& parts, CallThreads& threads) {
  return std::make_unique<ExplainService>(parts, threads);
}

}  // namespace kiln::api
