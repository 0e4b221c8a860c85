// buildctl debug explain: which steps of a build were found and why the others ran.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "api/proto/explain.pb.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/common.h"

namespace kiln::buildctl {
namespace {

using Json = nlohmann::ordered_json;

Json StepJson(const v1::ExplainedStep& step) {
  Json out = {{"digest", step.digest()}, {"name", step.name()}, {"outcome", step.outcome()}};
  if (!step.key().empty()) out["key"] = step.key();
  if (!step.source().empty()) out["source"] = step.source();
  if (!step.has_cause()) return out;
  Json cause = {{"kind", step.cause().kind()}, {"text", step.cause().text()}};
  if (!step.cause().path().empty()) cause["path"] = step.cause().path();
  if (!step.cause().step().empty()) cause["step"] = step.cause().step();
  out["cause"] = std::move(cause);
  return out;
}

std::string Line(const v1::ExplainedStep& step) {
  std::string line = StrCat(step.name(), "\n  ", step.outcome());
  if (step.has_cause()) return StrCat(line, ": ", step.cause().text(), "\n");
  if (!step.key().empty()) line += StrCat(", key ", step.key());
  if (!step.source().empty()) line += StrCat(" of ", step.source());
  return line + "\n";
}

Status RunExplain(const Invocation& call) {
  std::string format = call.Text("format");
  if (format != "text" && format != "json") {
    return InvalidArgumentError(StrCat("unknown format ", Quote(format), ": text or json"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  v1::ExplainResponse response;
  RETURN_IF_ERROR(client->Explain(call.Text("build"), &response));
  std::string wanted = call.Text("step");
  auto is_wanted = [&](const v1::ExplainedStep& step) {
    return wanted.empty() || step.digest() == wanted ||
           step.name().find(wanted) != std::string::npos;
  };
  Json steps = Json::array();
  std::string lines = StrCat("build ", response.build(), "\n");
  bool any = false;
  for (const v1::ExplainedStep& step : response.steps()) {
    if (!is_wanted(step)) continue;
    any = true;
    steps.push_back(StepJson(step));
    lines += Line(step);
  }
  if (!any && !wanted.empty()) return NotFoundError(StrCat("no step ", Quote(wanted)));
  if (format == "json") {
    Json out = {{"build", response.build()}, {"steps", std::move(steps)}};
    lines = out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  std::fputs(lines.c_str(), stdout);
  return OkStatus();
}

}  // namespace

Command ExplainCommand() {
  Command command{.name = "explain",
                  .usage = "say which steps of a build were cached, and why not"};
  command.flags = {{"build", Kind::kText, "build to look at, by the start of its ref"},
                   {"step", Kind::kText, "digest of a step, or a part of its name"},
                   {"format", Kind::kText, "text or json", "text"}};
  command.hidden = true;  // the help is that of the reference
  command.run = RunExplain;
  return command;
}

}  // namespace kiln::buildctl
