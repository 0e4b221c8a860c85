// See history_trace.h.
#include "api/server/history_trace.h"

#include <map>

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr std::string_view kSolve = "moby.buildkit.v1.Control/Solve";
constexpr int kInternal = 1, kServer = 2;  // kinds of spans
constexpr int kStatusUnset = 0, kStatusError = 1;

using Attributes = std::vector<std::pair<std::string, std::string>>;

struct Span {
  std::string name, id, parent, error;
  int kind = kInternal;
  Time started, completed;
  Attributes attributes;
};

// Ids have a fixed size, and must be the same in all spans of a trace.
std::string IdOf(std::string_view text, size_t bytes) {
  return std::string(Digest::Of(text).hex().substr(0, 2 * bytes));
}

std::string AttributesJson(const Attributes& attributes) {
  std::vector<std::string> items;
  for (const auto& [key, text] : attributes) {
    GoJsonObject value, item;
    value.String("Type", "STRING");
    value.String("Value", text);
    item.String("Key", key);
    item.Raw("Value", value.Finish());
    items.push_back(item.Finish());
  }
  return items.empty() ? "null" : StrCat("[", StrJoin(items, ","), "]");
}

std::string ContextJson(const std::string& trace, const std::string& span) {
  constexpr std::string_view kZeros = "00000000000000000000000000000000";
  GoJsonObject out;
  out.String("TraceID", span.empty() ? kZeros : trace);
  out.String("SpanID", span.empty() ? kZeros.substr(0, 16) : span);
  out.String("TraceFlags", span.empty() ? "00" : "01");
  out.String("TraceState", "");
  out.Bool("Remote", false);
  return out.Finish();
}

std::string ScopeJson() {
  GoJsonObject out;
  for (const char* key : {"Name", "Version", "SchemaURL"}) out.String(key, "");
  out.Raw("Attributes", "{}");
  return out.Finish();
}

std::string SpanJson(const std::string& trace, const Span& span) {
  GoJsonObject out, status;
  out.String("Name", span.name);
  out.Raw("SpanContext", ContextJson(trace, span.id));
  out.Raw("Parent", ContextJson(trace, span.parent));
  out.Int("SpanKind", span.kind);
  out.String("StartTime", FormatRfc3339Nano(span.started));
  out.String("EndTime", FormatRfc3339Nano(span.completed));
  out.Raw("Attributes", AttributesJson(span.attributes));
  out.Raw("Events", "null");
  out.Raw("Links", "null");
  status.Int("Code", span.error.empty() ? kStatusUnset : kStatusError);
  status.String("Description", span.error);
  out.Raw("Status", status.Finish());
  for (const char* key : {"DroppedAttributes", "DroppedEvents", "DroppedLinks", "ChildSpanCount"}) {
    out.Int(key, 0);
  }
  out.Raw("Resource", AttributesJson({{"service.name", "buildkitd"}}));
  out.Raw("InstrumentationScope", ScopeJson());
  out.Raw("InstrumentationLibrary", ScopeJson());
  return GoJsonIndent(out.Finish()) + "\n";
}

// Vertices that ran, in the order in which they were heard of; a vertex may run again.
std::vector<Span> VertexSpans(const std::vector<solver::ProgressEvent>& events) {
  std::vector<Span> spans;
  std::map<std::string, size_t> last;
  for (const solver::ProgressEvent& event : events) {
    const auto* vertex = std::get_if<solver::VertexEvent>(&event);
    if (vertex == nullptr || !vertex->started.set()) continue;
    const std::string& digest = vertex->digest.text();
    auto [known, fresh] = last.try_emplace(digest, spans.size());
    if (!fresh && spans[known->second].started != vertex->started) {
      known->second = spans.size();
      fresh = true;
    }
    if (fresh) spans.emplace_back();
    Span& span = spans[known->second];
    span.name = vertex->cached ? StrCat("cache request: ", vertex->name) : vertex->name;
    span.error = vertex->error;
    span.started = vertex->started;
    span.completed = vertex->completed;
    span.attributes = {{"vertex", digest}};
  }
  return spans;
}

}  // namespace

std::string EncodeHistoryTrace(const std::string& ref, Time started, Time completed,
                               const std::string& error,
                               const std::vector<solver::ProgressEvent>& events) {
  const std::string trace = IdOf(StrCat("trace ", ref), 16);
  Span root;
  root.name = kSolve;
  root.id = IdOf(StrCat("span ", ref), 8);
  root.kind = kServer;
  root.started = started;
  root.completed = completed;
  root.error = error;
  root.attributes = {{"rpc.system.name", "grpc"}, {"rpc.method", std::string(kSolve)}};
  std::string text;
  std::vector<Span> spans = VertexSpans(events);
  for (size_t i = 0; i < spans.size(); ++i) {
    spans[i].id = IdOf(StrCat("span ", ref, " ", i), 8);
    spans[i].parent = root.id;
    if (!spans[i].completed.set()) spans[i].completed = completed;
    text += SpanJson(trace, spans[i]);
  }
  return text + SpanJson(trace, root);  // ends last, and is printed last
}

}  // namespace kiln::api
