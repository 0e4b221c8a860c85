// Outline, targets, LLB and the description of all of them. Lint has its own file.
#include "frontend/dockerfile/build/subrequest_json.h"

#include "base/go_json.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/dockerfile/build/message_json.h"
#include "frontend/dockerfile/parser.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

namespace kiln::dockerfile {
namespace {

size_t RuneCount(std::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    size_t length = 0;
    DecodeRune(text, &length);
    text.remove_prefix(length);
    ++count;
  }
  return count;
}

std::string ArrayOf(const std::vector<std::string>& items) {
  return StrCat("[", StrJoin(items, ","), "]");
}

std::string SourcesJson(const llb::SourceMap& map) {
  return StrCat("[", GoJsonString(Base64Encode(map.data)), "]");
}

frontend::Result MakeResult(const std::string& json, const std::string& text,
                            const std::string& version) {
  frontend::Result result;
  result.metadata["result.json"] = GoJsonIndent(json);
  result.metadata["result.txt"] = text;
  result.metadata["version"] = version;
  return result;
}

std::string UsesJson(const std::vector<OutlineUse>& uses) {
  std::vector<std::string> items;
  for (const OutlineUse& use : uses) {
    GoJsonObject object;
    object.String("name", use.name);
    object.OmitBool("required", use.required);
    if (!use.location.empty()) object.Raw("location", LocationJson(use.location));
    items.push_back(object.Finish());
  }
  return ArrayOf(items);
}

std::string UsesText(const char* title, const std::vector<OutlineUse>& uses) {
  if (uses.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{title, "REQUIRED"}};
  for (const OutlineUse& use : uses) rows.push_back({use.name, use.required ? "true" : ""});
  return Tabulate(rows, 3) + "\n";
}

std::string OutlineText(const Outline& outline) {
  std::string text;
  if (!outline.name.empty() || !outline.description.empty()) {
    std::vector<std::vector<std::string>> rows = {
        {"TARGET:", outline.name.empty() ? "(default)" : outline.name}};
    if (!outline.description.empty()) rows.push_back({"DESCRIPTION:", outline.description});
    text += Tabulate(rows, 1) + "\n";
  }
  if (!outline.args.empty()) {
    std::vector<std::vector<std::string>> rows = {{"BUILD ARG", "VALUE", "DESCRIPTION"}};
    for (const OutlineArg& arg : outline.args) {
      rows.push_back({arg.name, arg.value, arg.description});
    }
    text += Tabulate(rows, 3) + "\n";
  }
  return text + UsesText("SECRET", outline.secrets) + UsesText("SSH", outline.ssh);
}

struct Description {
  const char* name;
  const char* text;
  const char* opts;  // JSON
};
constexpr Description kDescriptions[] = {
    {"frontend.outline", "List all parameters current build target supports",
     R"([{"name":"target","description":"Target build stage"}])"},
    {"frontend.targets", "List all targets current build supports", "[]"},
    {"frontend.subrequests.describe", "List available subrequest types", "null"},
};

}  // namespace

std::string LocationJson(const std::vector<Range>& ranges) {
  pb::Location location;
  for (const Range& range : ranges) {
    pb::Range* added = location.add_ranges();
    added->mutable_start()->set_line(range.start.line);
    added->mutable_start()->set_character(range.start.character);
    added->mutable_end()->set_line(range.end.line);
    added->mutable_end()->set_character(range.end.character);
  }
  return MessageJson(location, MessageStyle::kStructTags);
}

std::string Tabulate(const std::vector<std::vector<std::string>>& rows, size_t padding) {
  // The last cell of a row ends no column, so it takes part in no width.
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], RuneCount(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - RuneCount(row[i]) + padding, ' ');
    }
    text += '\n';
  }
  return text;
}

frontend::Result DescribeResult() {
  std::vector<std::string> items;
  std::vector<std::vector<std::string>> rows = {{"NAME", "VERSION", "DESCRIPTION"}};
  for (const Description& request : kDescriptions) {
    GoJsonObject object;
    object.String("name", request.name);
    object.String("version", "1.0.0");
    object.String("type", "rpc");
    object.String("description", request.text);
    object.Raw("opts", request.opts);
    object.Raw("inputs", "null");
    object.Raw("metadata",
               R"([{"name":"result.json","description":""},{"name":"result.txt","description":""}])");
    object.Raw("refs", "null");
    items.push_back(object.Finish());
    rows.push_back({std::string(TrimPrefix(request.name, "frontend.")), "1.0.0", request.text});
  }
  return MakeResult(ArrayOf(items), Tabulate(rows, 1), "1.0.0");
}

frontend::Result OutlineResult(const Outline& outline, const llb::SourceMap& map) {
  GoJsonObject object;
  object.OmitString("name", outline.name);
  object.OmitString("description", outline.description);
  std::vector<std::string> args;
  for (const OutlineArg& arg : outline.args) {
    GoJsonObject item;
    item.String("name", arg.name);
    item.OmitString("description", arg.description);
    item.OmitString("value", arg.value);
    if (!arg.location.empty()) item.Raw("location", LocationJson(arg.location));
    args.push_back(item.Finish());
  }
  if (!args.empty()) object.Raw("args", ArrayOf(args));
  if (!outline.secrets.empty()) object.Raw("secrets", UsesJson(outline.secrets));
  if (!outline.ssh.empty()) object.Raw("ssh", UsesJson(outline.ssh));
  object.Raw("sources", SourcesJson(map));
  return MakeResult(object.Finish(), OutlineText(outline), "1.0.0");
}

StatusOr<frontend::Result> TargetsResult(const llb::SourceMap& map) {
  ASSIGN_OR_RETURN(const ParseResult parsed, Parse(map.data));
  ASSIGN_OR_RETURN(const Stages stages, ParseStages(parsed.nodes));
  std::vector<std::string> items;
  std::vector<std::vector<std::string>> rows = {{"TARGET", "DESCRIPTION"}};
  for (size_t i = 0; i < stages.stages.size(); ++i) {
    const Stage& stage = stages.stages[i];
    const bool last = i + 1 == stages.stages.size();
    GoJsonObject object;
    object.OmitString("name", stage.name);
    object.OmitBool("default", last);
    object.OmitString("description", stage.doc_comment);
    object.OmitString("base", stage.base_name);
    object.OmitString("platform", stage.platform);
    if (!stage.location.empty()) object.Raw("location", LocationJson(stage.location));
    items.push_back(object.Finish());
    std::string name = stage.name;
    if (last) name += name.empty() ? "(default)" : " (default)";
    rows.push_back({std::move(name), stage.doc_comment});
  }
  GoJsonObject object;
  object.Raw("targets", items.empty() ? "null" : ArrayOf(items));
  object.Raw("sources", SourcesJson(map));
  return MakeResult(object.Finish(), Tabulate(rows, 1), "1.0.0");
}

StatusOr<frontend::Result> LlbResult(const ConvertOptions& options) {
  ASSIGN_OR_RETURN(const ConvertResult converted, Convert(options));
  ASSIGN_OR_RETURN(const llb::DefinitionPtr definition,
                   converted.state.Marshal(converted.marshal));
  std::map<std::string, std::string> ops, metadata;
  for (const std::string& bytes : definition->def()) {
    pb::Op op;
    if (!op.ParseFromString(bytes)) return InternalError("failed to parse llb proto op");
    ops[Digest::Of(bytes).text()] = MessageJson(op, MessageStyle::kProtoJson);
  }
  for (const auto& [digest, step] : definition->metadata()) {
    metadata[digest] = MessageJson(step, MessageStyle::kStructTags);
  }
  GoJsonObject def, meta, object;
  for (const auto& [digest, json] : ops) def.Raw(digest, json);
  for (const auto& [digest, json] : metadata) meta.Raw(digest, json);
  object.Raw("def", def.Finish());
  object.Raw("metadata", meta.Finish());
  object.Raw("source", MessageJson(definition->source(), MessageStyle::kProtoJson));
  frontend::Result result;
  result.metadata["result.json"] = GoJsonIndent(object.Finish());
  result.metadata["version"] = "0.1.0";
  return result;
}

}  // namespace kiln::dockerfile
