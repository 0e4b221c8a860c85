// One pass over the lines, one step per statement.
#include "examples/custom-frontend/recipe.h"

#include <utility>

#include "api/proto/errdefs.pb.h"
#include "base/strings.h"
#include "llb/exec.h"
#include "llb/file_action.h"

namespace recipe {
namespace {

using kiln::Status;
using kiln::StatusOr;
using kiln::StrCat;
namespace llb = kiln::llb;

constexpr char kSourceUrl[] = "github.com/moby/buildkit/errdefs.Source+json";
constexpr std::string_view kWords[] = {"from", "add", "env", "run", "cmd", "then"};

// Clients print the lines around the place that this detail names.
Status FaultAt(const SourceText& source, int line, std::string_view what) {
  Status status =
      kiln::InvalidArgumentError(StrCat("recipe error on line ", line, ": ", what));
  errdefs::Source detail;
  detail.mutable_info()->set_filename(source.filename);
  detail.mutable_info()->set_data(source.text);
  pb::Range* range = detail.add_ranges();
  range->mutable_start()->set_line(line);
  range->mutable_end()->set_line(line);
  status.AddDetail(kSourceUrl, detail.SerializeAsString());
  return status;
}

bool Known(std::string_view word) {
  for (std::string_view known : kWords) {
    if (word == known) return true;
  }
  return false;
}

// "a   b c" to "a" and "b c".
std::pair<std::string, std::string> SplitWord(std::string_view text) {
  size_t end = text.find_first_of(" \t");
  if (end == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, end)), std::string(kiln::TrimSpace(text.substr(end)))};
}

class Cook {
 public:
  Cook(const SourceText& source, const llb::State& context, const Kitchen& kitchen)
      : source_(source),
        map_(std::make_shared<llb::SourceMap>(
            llb::SourceMap{source.filename, "recipe", source.text, nullptr})),
        context_(context),
        kitchen_(kitchen) {}

  Status Do(const Statement& statement) {
    if (statement.word == "from") return From(statement);
    if (statement.word == "add") return Add(statement);
    if (statement.word == "env") return Env(statement);
    if (statement.word == "then") return Then(statement);
    if (statement.word == "run") {
      Run(statement);
    } else {
      Cmd(statement);
    }
    return kiln::OkStatus();
  }
  Dish Finish() { return std::move(dish_); }

 private:
  Status From(const Statement& statement) {
    if (statement.rest == "scratch") return kiln::OkStatus();
    StatusOr<Dish> base = kitchen_.find_base(statement.rest);
    if (!base.ok()) return FaultAt(source_, statement.line, base.status().message());
    dish_ = *std::move(base);
    return kiln::OkStatus();
  }

  Status Add(const Statement& statement) {
    auto [from, to] = SplitWord(statement.rest);
    if (to.empty()) return FaultAt(source_, statement.line, "add needs a source and a destination");
    llb::Copy copy;
    copy.from = context_;
    copy.src = "/" + from;
    copy.dest = to;
    copy.create_dest_path = true;
    dish_.state = dish_.state.File(llb::FileAction(std::move(copy)), ConstraintsOf(statement));
    return kiln::OkStatus();
  }

  Status Env(const Statement& statement) {
    std::string_view key, value;
    if (!kiln::StrCut(statement.rest, "=", &key, &value) || key.empty()) {
      return FaultAt(source_, statement.line, "env needs NAME=VALUE");
    }
    dish_.state.SetEnv(key, std::string(value));
    dish_.image.config.env.push_back(statement.rest);
    return kiln::OkStatus();
  }

  Status Then(const Statement& statement) {
    ASSIGN_OR_RETURN(dish_, kitchen_.go_on(statement.rest, dish_));
    return kiln::OkStatus();
  }

  void Cmd(const Statement& statement) {
    if (has_cmd_) kitchen_.warn(statement.line, "only the last cmd counts");
    has_cmd_ = true;
    dish_.image.config.cmd = {"/bin/sh", "-c", statement.rest};
  }

  void Run(const Statement& statement) {
    dish_.state.mutable_meta().args = {"/bin/sh", "-c", statement.rest};
    llb::Exec exec;
    exec.constraints = ConstraintsOf(statement);
    dish_.state = llb::Run(dish_.state, dish_.state, std::move(exec)).root();
  }

  // The step shows as its own line, and a failure points at it.
  llb::Constraints ConstraintsOf(const Statement& statement) {
    llb::Constraints constraints;
    constraints.Named(StrCat("[recipe] ", statement.word, " ", statement.rest));
    constraints.locations.push_back({map_, {{statement.line, 0, statement.line, 0}}});
    return constraints;
  }

  const SourceText& source_;
  std::shared_ptr<const llb::SourceMap> map_;
  const llb::State& context_;
  const Kitchen& kitchen_;
  Dish dish_;
  bool has_cmd_ = false;
};

}  // namespace

StatusOr<std::vector<Statement>> Parse(const SourceText& source) {
  std::vector<Statement> statements;
  int number = 0;
  for (std::string_view line : kiln::StrSplit(source.text, '\n')) {
    ++number;
    line = kiln::TrimSpace(line);
    if (line.empty() || line.starts_with('#')) continue;
    auto [word, rest] = SplitWord(line);
    if (!Known(word)) return FaultAt(source, number, StrCat("unknown word ", word));
    if (rest.empty()) return FaultAt(source, number, StrCat(word, " needs something after it"));
    if (statements.empty() != (word == "from")) {
      return FaultAt(source, number, "a recipe has one from, in front of everything else");
    }
    statements.push_back({number, std::move(word), std::move(rest)});
  }
  if (statements.empty()) return FaultAt(source, 1, "the recipe is empty");
  return statements;
}

StatusOr<Dish> Follow(const SourceText& source, const std::vector<Statement>& statements,
                      const llb::State& context, const Kitchen& kitchen) {
  Cook cook(source, context, kitchen);
  for (const Statement& statement : statements) RETURN_IF_ERROR(cook.Do(statement));
  return cook.Finish();
}

std::vector<std::string> PathsOf(const std::vector<Statement>& statements) {
  std::vector<std::string> paths;
  for (const Statement& statement : statements) {
    if (statement.word == "add") paths.push_back(SplitWord(statement.rest).first);
  }
  return paths;
}

}  // namespace recipe
