#include "solver/explain.h"

#include <optional>
#include <unordered_map>

#include "base/strings.h"
#include "cache/contenthash/content_files.h"
#include "cache/index/recipe_log.h"
#include "solver/explain_diff.h"
#include "solver/proto/recipe.pb.h"
#include "solver/recipe.h"

namespace kiln::solver {
namespace {

using Step = record::Step;

using Fields = std::map<std::string, std::string>;

// An earlier key of the same step, to compare with.
struct Earlier {
  cache::StoredRecipe stored;
  record::Recipe recipe;
  const Fields* fields = nullptr;
};

std::string FileText(const cache::FileChange& change) {
  std::string text = StrCat("file ", change.path, ": ", cache::FileChangeText(change.kind));
  return change.others == 0 ? text : StrCat(text, " (and ", change.others, " more)");
}

class Comparison {
 public:
  Comparison(const cache::RecipeLog& recipes, const record::Steps& failed, Time before)
      : recipes_(recipes), failed_(failed), before_(before) {}

  MissCause Of(const Step& step) const {
    if (step.ignore_cache()) {
      return {"no-cache", "no cache: the step was asked to run without", "", ""};
    }
    std::optional<Earlier> earlier = Nearest(step);
    if (!earlier) return Unknown(step);
    if (auto field = FirstFieldChange(*earlier->fields, FieldsOf(step.recipe().op()))) {
      return *field;
    }
    int other = FirstOtherInput(earlier->recipe, step.recipe(), true);
    if (other >= 0) return OfInput(earlier->recipe.inputs(other), step.recipe().inputs(other));
    if (earlier->recipe.digest() != step.recipe().digest()) {
      return {"source", StrCat("source changed: ", earlier->recipe.digest(), " → ",
                               step.recipe().digest()), "", ""};
    }
    if (earlier->stored.gone.set()) {
      return {"pruned", StrCat("pruned at ", FormatRfc3339Nano(earlier->stored.gone), ": ",
                               earlier->stored.rule), "", ""};
    }
    other = FirstOtherInput(earlier->recipe, step.recipe(), false);
    if (other >= 0) return OfInput(earlier->recipe.inputs(other), step.recipe().inputs(other));
    return {"lost", "an equal result is known but could not be used", "", ""};
  }

 private:
  // The one that has most in common with the step; of equals the last used.
  std::optional<Earlier> Nearest(const Step& step) const {
    StepNames names = NamesOf(step.name());
    auto found = recipes_.Earlier(names.step, names.slot, before_);
    std::optional<Earlier> best;
    if (!found.ok()) return best;
    const Fields& mine = FieldsOf(step.recipe().op());
    size_t most = 0;
    for (cache::StoredRecipe& stored : *found) {
      Earlier one{std::move(stored), {}, nullptr};
      if (!one.recipe.ParseFromString(one.stored.recipe.body)) continue;
      one.fields = &FieldsOf(one.recipe.op());
      size_t score = 1 + CommonInputs(one.recipe, step.recipe()) * 4;
      if (one.stored.recipe.step == names.step) score += 2;
      if (one.fields == &mine || *one.fields == mine) score += 3;
      if (score <= most) continue;  // they come in order of their last use
      most = score;
      best = std::move(one);
    }
    return best;
  }

  // Most steps of most builds are the same ops over other inputs: taken apart once.
  const Fields& FieldsOf(const std::string& op) const {
    auto [known, added] = fields_.try_emplace(WithoutInputs(op));
    if (added) known->second = OpFields(op);
    return known->second;
  }

  MissCause OfInput(const record::Input& before, const record::Input& now) const {
    std::optional<cache::FileChange> change;
    if (!before.content().empty() && !now.content().empty()) {
      change = FileChangeOf(before.content(), now.content());
    }
    if (!now.missed() && change) return {"file", FileText(*change), change->path, ""};
    if (!now.source().empty() && before.source() != now.source()) {
      return {"base", StrCat("base changed: ", before.source(), " → ", now.source()), "",
              now.step()};
    }
    if (before.content() != now.content() && !now.missed()) {
      return {"file", StrCat("files of ", now.step(), " changed"), "", ""};
    }
    std::string text = StrCat("parent step ", now.step());
    if (change) text += StrCat(": ", FileText(*change));
    return {"parent", std::move(text), change ? change->path : "", now.step()};
  }

  std::optional<cache::FileChange> FileChangeOf(const std::string& before,
                                                const std::string& now) const {
    auto list = [&](const std::string& content) -> StatusOr<std::vector<cache::FileMark>> {
      ASSIGN_OR_RETURN(std::string bytes, recipes_.Files(content));
      return cache::DecodeFiles(bytes);
    };
    auto a = list(before);
    auto b = list(now);
    if (!a.ok() || !b.ok()) return std::nullopt;
    return cache::FirstChange(*a, *b);
  }

  // Nothing to compare with: what the caches that were asked could tell.
  MissCause Unknown(const Step& step) const {
    for (const record::Input& input : step.recipe().inputs()) {
      if (input.missed()) return {"parent", StrCat("parent step ", input.step()), "", input.step()};
    }
    for (const record::FailedSource& source : failed_.failed()) {
      return {"cache-source", StrCat("cache source ", source.name(), " failed",
                                     source.error().empty() ? "" : ": ", source.error()), "", ""};
    }
    if (!step.imports()) return {"first", "first time: no earlier key of this step", "", ""};
    bool any = false;
    for (const record::Input& input : step.recipe().inputs()) any = any || input.matched();
    for (const record::Input& input : step.recipe().inputs()) {
      if (!any || input.matched()) continue;
      return {"file", StrCat("files of ", input.step(), " are not those of an imported cache"),
              "", ""};
    }
    return {"definition", "no imported cache has a key of this step", "", ""};
  }

  const cache::RecipeLog& recipes_;
  const record::Steps& failed_;
  const Time before_;
  mutable std::unordered_map<std::string, Fields> fields_;  // by op
};

std::string OutcomeText(Step::Outcome outcome) {
  switch (outcome) {
    case Step::HIT: return "hit";
    case Step::KNOWN: return "known";
    case Step::MISSED: return "miss";
    case Step::SHARED: return "shared";
    default: return "not needed";
  }
}

// A client's files are read in every build: that is no miss.
bool IsLocalSource(const Step& step) {
  auto fields = OpFields(step.recipe().op());
  auto source = fields.find("source.identifier");
  return source != fields.end() && source->second.starts_with("local://");
}

}  // namespace

StatusOr<Explanation> Explain(const cache::RecipeLog& recipes, std::string_view build) {
  ASSIGN_OR_RETURN(cache::RecipeLog::BuildSteps stored, recipes.Steps(build));
  record::Steps steps;
  if (!steps.ParseFromString(stored.body)) return DataLossError("the build's steps are damaged");
  Comparison comparison(recipes, steps, Time{steps.started()});
  Explanation out{std::move(stored.build), {}};
  for (const Step& step : steps.steps()) {
    ExplainedStep& one = out.steps.emplace_back();
    one.digest = step.digest();
    one.name = step.name();
    one.key = step.key();
    one.source = step.source();
    one.outcome = OutcomeText(step.outcome());
    if (step.outcome() != Step::MISSED && step.outcome() != Step::SHARED) continue;
    if (IsLocalSource(step)) {
      one.outcome = "read";
    } else {
      one.cause = comparison.Of(step);
    }
  }
  return out;
}

std::string ExplainStep(const cache::RecipeLog& recipes, const std::string& bytes,
                        const std::string& failed_bytes, Time before) {
  Step step;
  record::Steps failed;
  if (!step.ParseFromString(bytes) || !failed.ParseFromString(failed_bytes)) return "";
  return IsLocalSource(step) ? "" : Comparison(recipes, failed, before).Of(step).text;
}

}  // namespace kiln::solver
