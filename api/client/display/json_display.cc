// Raw JSON display: each message as one line, as Go marshals the reference's structs.
#include <nlohmann/json.hpp>

#include "api/client/display/displays.h"
#include "base/file.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

using Json = nlohmann::ordered_json;

void PutText(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) json[key] = text;
}
void PutTime(Json& json, const char* key, Time time) {
  if (time.set()) json[key] = FormatRfc3339Nano(time);
}

Json ToJson(const VertexState& vertex) {
  Json json = Json::object();
  PutText(json, "digest", vertex.digest);
  if (!vertex.inputs.empty()) json["inputs"] = vertex.inputs;
  PutText(json, "name", vertex.name);
  PutTime(json, "started", vertex.started);
  PutTime(json, "completed", vertex.completed);
  if (vertex.cached) json["cached"] = true;
  PutText(json, "error", vertex.error);
  if (vertex.group) {
    Json group = Json::object();
    PutText(group, "id", vertex.group->id);
    PutText(group, "name", vertex.group->name);
    if (vertex.group->weak) group["weak"] = true;
    json["progressGroup"] = std::move(group);
  }
  return json;
}

Json ToJson(const VertexStatusLine& line) {
  Json json = {{"id", line.id}};
  PutText(json, "vertex", line.vertex);
  PutText(json, "name", line.name);
  if (line.total != 0) json["total"] = line.total;
  json["current"] = line.current;
  json["timestamp"] = FormatRfc3339Nano(line.timestamp.set() ? line.timestamp : Time{0});
  PutTime(json, "started", line.started);
  PutTime(json, "completed", line.completed);
  return json;
}

Json ToJson(const VertexLogBytes& log) {
  Json json = Json::object();
  PutText(json, "vertex", log.vertex);
  if (log.stream != 0) json["stream"] = log.stream;
  json["data"] = Base64Encode(log.bytes);
  json["timestamp"] = FormatRfc3339Nano(log.timestamp.set() ? log.timestamp : Time{0});
  return json;
}

Json ToJson(const Position& position) {
  Json json = Json::object();
  if (position.line != 0) json["line"] = position.line;
  if (position.character != 0) json["character"] = position.character;
  return json;
}

Json ToJson(const VertexWarningText& warning) {
  Json json = Json::object();
  PutText(json, "vertex", warning.vertex);
  if (warning.level != 0) json["level"] = warning.level;
  if (!warning.short_text.empty()) json["short"] = Base64Encode(warning.short_text);
  for (const std::string& detail : warning.detail) {
    json["detail"].push_back(Base64Encode(detail));
  }
  PutText(json, "url", warning.url);
  if (warning.source) {
    Json source = Json::object();
    PutText(source, "filename", warning.source->filename);
    if (!warning.source->data.empty()) source["data"] = Base64Encode(warning.source->data);
    PutText(source, "language", warning.source->language);
    json["sourceInfo"] = std::move(source);
  }
  for (const Range& range : warning.ranges) {
    json["range"].push_back({{"start", ToJson(range.start)}, {"end", ToJson(range.end)}});
  }
  return json;
}

template <typename T>
void PutList(Json& json, const char* key, const std::vector<T>& values) {
  for (const T& value : values) json[key].push_back(ToJson(value));
}

class JsonDisplay : public Display {
 public:
  explicit JsonDisplay(int fd) : fd_(fd) {}
  void Update(const SolveStatus& status) override {
    Json json = Json::object();
    PutList(json, "vertexes", status.vertexes);
    PutList(json, "statuses", status.statuses);
    PutList(json, "logs", status.logs);
    PutList(json, "warnings", status.warnings);
    WriteAll(fd_, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n").IgnoreError();
  }
  void Refresh() override {}
  void Done() override {}

 private:
  int fd_;
};

}  // namespace

std::unique_ptr<Display> NewJsonDisplay(int fd) { return std::make_unique<JsonDisplay>(fd); }

}  // namespace kiln::api
