// The lint document: all findings of a file, with excerpts as text.
#include <algorithm>

#include "base/go_json.h"
#include "base/strings.h"
#include "frontend/dockerfile/build/message_json.h"
#include "frontend/dockerfile/build/subrequest_json.h"
#include "frontend/dockerfile/source_range.h"
#include "llb/proto/ops.pb.h"

namespace kiln::dockerfile {
namespace {

struct Finding {
  const LintRule* rule;
  std::string message;
  std::vector<Range> location;
};

std::string PadLeft(int number, size_t width) {
  std::string text = StrCat(number);
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

bool Covers(const std::vector<Range>& ranges, int line) {
  for (const Range& range : ranges) {
    if (range.start.line <= line && std::max(range.end.line, range.start.line) >= line) return true;
  }
  return false;
}

// The lines in question, marked, with some around them.
std::string Excerpt(const llb::SourceMap& map, const std::vector<Range>& ranges) {
  if (ranges.empty()) return "";
  const auto lines = StrSplit(map.data, '\n');
  const int count = static_cast<int>(lines.size());
  int start = ranges[0].start.line, end = 0;
  for (const Range& range : ranges) {
    start = std::min(start, range.start.line);
    end = std::max({end, range.end.line, range.start.line});
  }
  if (start > count || start < 1) return "";
  end = std::min(end, count);
  const int first = start;
  const int padding = start == end ? 4 : 2;
  for (int added = 0; added < padding; ++added) {
    if (start > 1) {
      --start;
      ++added;
    }
    if (end != count) {
      ++end;
      ++added;
    }
  }
  constexpr std::string_view kRule = "--------------------\n";
  std::string text = StrCat(map.filename, ":", first, "\n", kRule);
  for (int line = start; line <= end; ++line) {
    text += StrCat(" ", PadLeft(line, 3), " | ", Covers(ranges, line) ? ">>>" : "   ", " ",
                   lines[static_cast<size_t>(line) - 1], "\n");
  }
  return text + std::string(kRule);
}

std::string FindingText(const Finding& finding, const llb::SourceMap& map) {
  std::string text = StrCat("\nWARNING: ", finding.rule->name);
  if (!finding.rule->url.empty()) text += StrCat(" - ", finding.rule->url);
  return StrCat(text, "\n", finding.message, "\n", Excerpt(map, finding.location));
}

std::string FindingsJson(const std::vector<Finding>& findings) {
  if (findings.empty()) return "null";
  std::string array = "[";
  for (const Finding& finding : findings) {
    GoJsonObject object;
    object.String("ruleName", finding.rule->name);
    object.OmitString("description", finding.rule->description);
    object.OmitString("url", finding.rule->url);
    object.OmitString("detail", finding.message);
    object.Raw("location", LocationJson(finding.location));
    if (array.size() > 1) array += ',';
    array += object.Finish();
  }
  return array + "]";
}

std::string SourceJson(const llb::SourceMap& map) {
  pb::SourceInfo info;
  info.set_filename(map.filename);
  info.set_data(map.data);
  info.set_language(map.language);
  *info.mutable_definition() = *map.definition;
  return MessageJson(info, MessageStyle::kStructTags);
}

// All groups of an error as few ranges as possible.
std::vector<Range> MergeLocations(const Status& error) {
  std::vector<Range> ranges;
  for (const std::vector<Range>& group : Locations(error)) {
    ranges.insert(ranges.end(), group.begin(), group.end());
  }
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.start.line < b.start.line;
  });
  std::vector<Range> merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && range.start.line <= merged.back().end.line) {
      merged.back().end.line = std::max(merged.back().end.line, range.end.line);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

int FirstLine(const Finding& finding) {
  return finding.location.empty() ? -1 : finding.location[0].start.line;
}

}  // namespace

frontend::Result LintResult(ConvertOptions options) {
  std::vector<Finding> findings;
  options.warn = [&](const LintRule& rule, const std::string& message,
                     const std::vector<Range>& location) {
    findings.push_back({&rule, message, location});
  };
  // Without a target all of the file is meant.
  options.all_stages = options.client->config().target.empty();
  const Status error = Convert(options).status();
  const llb::SourceMap& map = *options.source_map;
  GoJsonObject object;
  object.Raw("warnings", FindingsJson(findings));
  object.Raw("sources", StrCat("[", SourceJson(map), "]"));
  if (!error.ok()) {
    GoJsonObject failure;
    failure.String("message", error.message());
    failure.Raw("location", LocationJson(MergeLocations(error)));
    object.Raw("buildError", failure.Finish());
  }
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    if (a.location.empty() && b.location.empty()) return a.rule->name < b.rule->name;
    return FirstLine(a) < FirstLine(b);
  });
  std::string text;
  for (const Finding& finding : findings) text += FindingText(finding, map);
  frontend::Result result;
  result.metadata["result.json"] = GoJsonIndent(object.Finish());
  result.metadata["result.txt"] = text;
  result.metadata["result.statuscode"] = findings.empty() && error.ok() ? "0" : "1";
  result.metadata["version"] = "1.0.0";
  return result;
}

}  // namespace kiln::dockerfile
