// Which stages there are, which one is wanted, and which stands on or copies from which.
#include <charconv>

#include "base/strings.h"
#include "base/suggest.h"
#include "frontend/dockerfile/convert/converter.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "frontend/dockerfile/convert/validate.h"

namespace kiln::dockerfile {
namespace {

// Steps of a stage that progress counts.
int CountSteps(const StageState& state) {
  int total = state.stage.base_name != "scratch" && state.base == nullptr ? 1 : 0;
  for (const Command& command : state.stage.commands) {
    if (std::holds_alternative<AddCommand>(command) ||
        std::holds_alternative<CopyCommand>(command) ||
        std::holds_alternative<RunCommand>(command) ||
        std::holds_alternative<WorkdirCommand>(command)) {
      ++total;
    }
  }
  return total;
}

Status SuggestAny(Status error, const NameSet& names, const std::vector<std::string>& options) {
  for (const std::string& name : names) {
    Status suggested = WithSuggestion(error, name, options, true);
    if (suggested.message() != error.message()) return suggested;
  }
  return error;
}

bool ParseIndex(const std::string& text, int64_t* index) {
  return ParseInt64(TrimPrefix(text, "+"), index);
}

}  // namespace

Status Converter::DeclareStages() {
  for (size_t i = 0; i < parsed_.stages.size(); ++i) {
    RETURN_IF_ERROR(DeclareStage(std::move(parsed_.stages[i]), i));
  }
  return OkStatus();
}

Status Converter::DeclareStage(Stage stage, size_t index) {
  Linter lint = lint_->WithComments(stage.comments);
  const StateEnv env(global_args_);
  StatusOr<WordResult> name = lex_.Process(stage.base_name, env);
  if (!name.ok()) return WithLocation(name.status(), stage.location);
  ReportUndefinedInFrom(name->unmatched, known_args_, stage.location, &lint);
  if (name->word.empty()) {
    return WithLocation(
        UnknownError(StrCat("base name (", stage.base_name, ") should not be blank")),
        stage.location);
  }
  StageState* state = table_.New();
  stage.base_name = name->word;
  std::set<std::string> used = std::move(name->matched);
  state->stage = std::move(stage);
  state->stage_name = state->stage.name;
  state->prefix_platform = config_.multi_platform;
  state->outline = outline_;
  state->epoch = epoch_;
  if (!state->stage.platform.empty()) {
    RETURN_IF_ERROR(ReadStagePlatform(state, lint, &used));
  }
  if (!state->stage.name.empty()) {
    ASSIGN_OR_RETURN(state->named_context, NamedContext(state->stage.name, state->platform));
    if (state->named_context) {
      table_.Add(state);
      state->base = nullptr;
      return OkStatus();
    }
  } else {
    state->stage_name = StrCat("stage-", index);
  }
  table_.Add(state);
  state->outline.used_args.insert(used.begin(), used.end());
  state->cmd_total = CountSteps(*state);
  state->ignore_cache = options_.client->IsNoCache(state->stage.name);
  return OkStatus();
}

Status Converter::ReadStagePlatform(StageState* state, const Linter& lint,
                                    std::set<std::string>* used) {
  const Stage& stage = state->stage;
  Linter reporter = lint;
  StatusOr<WordResult> result = lex_.Process(stage.platform, StateEnv(global_args_));
  if (!result.ok()) {
    return WithLocation(Annotate(result.status(), "failed to process arguments for platform "),
                        stage.location);
  }
  ReportUndefinedInFrom(result->unmatched, known_args_, stage.location, &reporter);
  ReportStagePlatform(stage, *result, global_args_, &reporter);
  const std::vector<std::string> keys = global_args_.Keys();
  if (result->word.empty()) {
    return SuggestAny(
        WithLocation(
            UnknownError(StrCat("empty platform value from expression ", stage.platform)),
            stage.location),
        result->unmatched, keys);
  }
  StatusOr<Platform> platform = ParsePlatform(result->word);
  if (!platform.ok()) {
    const Status error = SuggestAny(WithLocation(platform.status(), stage.location),
                                    result->unmatched, keys);
    return WithLocation(Annotate(error, StrCat("failed to parse platform ", stage.platform)),
                        stage.location);
  }
  used->insert(result->matched.begin(), result->matched.end());
  state->platform = *platform;
  return OkStatus();
}

StatusOr<StageState*> Converter::FindTarget() const {
  if (config_.target.empty()) return table_.stages().back();
  if (StageState* found = table_.FindByName(config_.target)) return found;
  return WithSuggestion(
      UnknownError(StrCat("target stage ", Quote(config_.target), " could not be found")),
      config_.target, table_.Names(), true);
}

StageState* Converter::Unregistered(const std::string& base_name,
                                    const std::vector<Range>& location) {
  StageState* state = table_.New();
  state->stage.base_name = base_name;
  state->stage.location = location;
  state->unregistered = true;
  return state;
}

StatusOr<StageCommand> Converter::ToStageCommand(const Command& command) {
  StageCommand result{command, {}, false};
  if (const RunCommand* run = std::get_if<RunCommand>(&command)) {
    for (const Mount& mount : run->mounts) {
      // The type may hold variables, so even mounts without a source get a stage.
      const std::string from = mount.from.empty() ? "scratch" : mount.from;
      StageState* found = table_.FindByName(from);
      result.sources.push_back(found != nullptr ? found : Unregistered(from, {}));
    }
    return result;
  }
  const CopyCommand* copy = std::get_if<CopyCommand>(&command);
  if (copy == nullptr || copy->from.empty()) return result;
  ASSIGN_OR_RETURN(const WordResult expanded, lex_.Process(copy->from, ListEnv()));
  if (expanded.word != copy->from) {
    return UnknownError(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG "
        "from global scope as a workaround");
  }
  int64_t index = 0;
  StageState* source = nullptr;
  if (ParseIndex(copy->from, &index)) {
    ASSIGN_OR_RETURN(source, table_.FindByIndex(index));
  } else {
    source = table_.FindByName(copy->from);
    if (source == nullptr) source = Unregistered(copy->from, copy->location);
  }
  result.sources.push_back(source);
  return result;
}

Status Converter::LinkStages() {
  // Images in --from join the list while it is walked.
  for (size_t i = 0; i < table_.stages().size(); ++i) {
    StageState* state = table_.stages()[i];
    for (const Command& command : state->stage.commands) {
      ASSIGN_OR_RETURN(StageCommand linked, ToStageCommand(command));
      for (StageState* source : linked.sources) {
        state->AddDep(source, BaseOf(command).location);
        if (source->unregistered) table_.Add(source);
      }
      state->commands.push_back(std::move(linked));
    }
  }
  RETURN_IF_ERROR(CheckCycles());
  if (table_.stages().size() == 1) table_.stages()[0]->stage_name = "";
  return OkStatus();
}

Status Converter::CheckCycles() const {
  struct Visit {
    StageState* state;
    size_t next = 0;
  };
  std::set<StageState*> visited;
  for (StageState* root : table_.stages()) {
    if (!visited.insert(root).second) continue;
    std::vector<Visit> path = {{root}};
    std::set<StageState*> on_path = {root};
    while (!path.empty()) {
      Visit& top = path.back();
      if (top.next == top.state->deps.size()) {
        on_path.erase(top.state);
        path.pop_back();
        continue;
      }
      StageState* dep = top.state->deps[top.next++].first;
      if (on_path.contains(dep)) {
        Status error =
            UnknownError("circular dependency detected on stage: " + root->stage_name);
        for (const Visit& visit : path) {
          error = WithLocation(error, visit.state->deps[visit.next - 1].second);
        }
        return error;
      }
      if (!visited.insert(dep).second) continue;
      on_path.insert(dep);
      path.push_back({dep});
    }
  }
  return OkStatus();
}

}  // namespace kiln::dockerfile
