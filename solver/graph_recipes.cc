// The journal of the graph: recipes of keys as they are saved, and what became of each
// step of a build when it ends. For people; nothing here decides anything.
#include "cache/index/recipe_log.h"
#include "llb/proto/ops.pb.h"
#include "solver/build_graph.h"
#include "solver/explain.h"
#include "solver/proto/recipe.pb.h"
#include "solver/recipe.h"

namespace kiln::solver {
namespace {

// Beyond this a build's hits are not listed one by one.
constexpr size_t kMostSteps = 5'000;

std::string SourceOf(const VertexNode& node) {
  return node.vertex->op->has_source() ? node.vertex->op->source().identifier() : std::string();
}

}  // namespace

// The step as it is about to run, kept with the vertex until its key is saved.
void BuildGraph::NoteMiss(EdgeNode& edge) {
  if (parts_.index.recipes() == nullptr || edge.final_keys.empty()) return;
  edge.vertex.recipe = RecipeOf(edge.vertex, *edge.final_keys.back(), &edge);
}

std::string BuildGraph::RecipeOf(const VertexNode& node, const CacheKey& key,
                                 const EdgeNode* edge) const {
  record::Recipe recipe;
  recipe.set_op(node.vertex->op->SerializeAsString());
  recipe.set_digest(key.digest().text());
  for (size_t i = 0; i < key.deps().size() && i < node.inputs.size(); ++i) {
    record::Input* input = recipe.add_inputs();
    const VertexNode& from = *node.inputs[i].vertex;
    input->set_step(from.vertex->name);
    input->set_source(SourceOf(from));
    input->set_missed(!from.recipe.empty() && from.inputs.size() > 0);
    input->set_matched(edge != nullptr && !edge->state.deps[i].matches.empty());
    for (const KeyWithSelector& alternative : key.deps()[i]) {
      if (alternative.key->output() == kContentOutput) {
        input->set_content(alternative.key->digest().text());
      } else {
        input->add_keys(local_->FindOrMake(*alternative.key));
      }
    }
  }
  return recipe.SerializeAsString();
}

// Called before the key is saved: no write has the key without its recipe.
void BuildGraph::NoteKey(const VertexNode& node, const CacheKey& key) {
  if (parts_.index.recipes() == nullptr) return;
  StepNames names = NamesOf(node.vertex->name);
  parts_.index
      .AddRecipe(local_->FindOrMake(key),
                 {std::move(names.step), std::move(names.slot),
                  node.recipe.empty() ? RecipeOf(node, key, nullptr) : node.recipe, Now()})
      .IgnoreError();
}

std::string BuildGraph::StepOf(const VertexNode& node) const {
  record::Step step;
  step.set_digest(node.digest.text());
  step.set_name(node.vertex->name);
  step.set_ignore_cache(node.ignore_cache);
  step.set_imports(!node.sources.empty());
  if (!node.recipe.empty()) {
    step.set_outcome(node.shared_run ? record::Step::SHARED : record::Step::MISSED);
    step.mutable_recipe()->ParseFromString(node.recipe);
    return step.SerializeAsString();
  }
  for (const auto& [output, edge] : node.edges) {
    if (edge->result.has_value() && !edge->result_keys.empty()) {
      const CacheKey& key = *edge->result_keys.front();
      step.set_outcome(record::Step::HIT);
      if (!key.ids().empty()) step.set_key(key.ids().front().second);
      if (!key.records().empty() && key.records().front().source != nullptr) {
        step.set_source(key.records().front().source->name());
      }
      break;
    }
    if (!edge->keys.empty()) {
      const CacheKey& key = *edge->keys.front();
      step.set_outcome(record::Step::KNOWN);
      if (!key.ids().empty()) {
        step.set_key(key.ids().front().second);
        if (key.ids().front().first->source() != nullptr) {
          step.set_source(key.ids().front().first->source()->name());
        }
      }
    }
  }
  return step.SerializeAsString();
}

void BuildGraph::NoteSteps(const Build& build) {
  if (parts_.index.recipes() == nullptr || build.vertices.empty()) return;
  record::Steps steps;
  steps.set_started(build.state->started().nanos);
  bool many = build.vertices.size() > kMostSteps;
  for (auto node = build.vertices.rbegin(); node != build.vertices.rend(); ++node) {
    if (many && (*node)->recipe.empty()) continue;
    record::Step* step = steps.add_steps();
    step->ParseFromString(StepOf(**node));
    if (!step->key().empty() && step->source().empty()) {  // used again: next to compare with
      parts_.index.AddRecipe(step->key(), {.step = {}, .slot = {}, .body = {}, .created = Now()})
          .IgnoreError();
    }
  }
  for (const auto& source : build.sources) {
    if (!source->failed) continue;
    record::FailedSource* failed = steps.add_failed();
    failed->set_name(source->source->name());
    failed->set_error(source->error);
  }
  parts_.index.KeepSteps(build.state->id(), steps.SerializeAsString()).IgnoreError();
  AfterFlush([] {});
}

// What a job may do for the builds that asked to hear why a step runs: reads the disk.
std::function<void()> BuildGraph::MissReport(const VertexNode& node) const {
  std::vector<BuildStatePtr> curious;
  for (const BuildStatePtr& build : node.audience->builds()) {
    if (build->explain()) curious.push_back(build);
  }
  if (curious.empty() || node.recipe.empty()) return [] {};
  record::Steps failed;
  for (const BuildStatePtr& build : curious) {
    auto found = builds_.find(build->id());
    if (found == builds_.end()) continue;
    for (const auto& source : found->second.sources) {
      if (!source->failed) continue;
      record::FailedSource* one = failed.add_failed();
      one->set_name(source->source->name());
      one->set_error(source->error);
    }
  }
  return [curious, step = StepOf(node), failed = failed.SerializeAsString(),
          index = &parts_.index, vertex = node.digest] {
    index->Flush().IgnoreError();  // what was just noted is to be seen
    for (const BuildStatePtr& build : curious) {
      std::string line = ExplainStep(*index->recipes(), step, failed, build->started());
      if (line.empty()) continue;
      build->Send(LogEvent{vertex, 2, StrCat("cache miss: ", line, "\n"), Now()});
    }
  };
}

}  // namespace kiln::solver
