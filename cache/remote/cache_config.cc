#include "cache/remote/cache_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace kiln::cache {
namespace {

using Json = nlohmann::ordered_json;

// Reads members of a type that may be wrong; remembers that one was.
class Reader {
 public:
  bool bad = false;

  int64_t Int(const Json& object, const char* key, int64_t missing) {
    auto found = object.find(key);
    if (found == object.end() || found->is_null()) return missing;
    if (!found->is_number_integer()) return Fail(missing);
    return found->get<int64_t>();
  }
  std::string Text(const Json& object, const char* key) {
    auto found = object.find(key);
    if (found == object.end() || found->is_null()) return {};
    if (!found->is_string()) return Fail(std::string());
    return found->get<std::string>();
  }
  kiln::Time TimeOf(const Json& object, const char* key) {
    std::string text = Text(object, key);
    if (text.empty()) return {};
    StatusOr<kiln::Time> time = ParseRfc3339(text);
    return time.ok() ? *time : Fail(kiln::Time());
  }
  const Json& Array(const Json& object, const char* key) {
    static const Json kEmpty = Json::array();
    auto found = object.find(key);
    if (found == object.end() || found->is_null()) return kEmpty;
    return CheckArray(*found);
  }
  const Json& CheckArray(const Json& value) {
    static const Json kEmpty = Json::array();
    if (value.is_null()) return kEmpty;
    return value.is_array() ? value : Fail(kEmpty);
  }
  bool Object(const Json& value) { return value.is_object() ? true : Fail(false); }
  int Index(const Json& object, const char* key, int missing) {
    int64_t value = Int(object, key, missing);
    return value < -1 || value > INT32_MAX ? Fail(missing) : static_cast<int>(value);
  }

 private:
  template <typename T>
  const T& Fail(const T& value) {
    bad = true;
    return value;
  }
};

CacheConfig::Layer ReadLayer(Reader& reader, const Json& json) {
  CacheConfig::Layer layer;
  layer.blob = Digest::Trusted(reader.Text(json, "blob"));
  layer.parent = reader.Index(json, "parent", 0);
  auto note = json.find("annotations");
  if (note != json.end() && note->is_object()) {
    layer.note = CacheConfig::LayerNote{
        reader.Text(*note, "mediaType"), Digest::Trusted(reader.Text(*note, "diffID")),
        reader.Int(*note, "size", 0), reader.TimeOf(*note, "createdAt")};
  }
  return layer;
}

CacheConfig::Record ReadRecord(Reader& reader, const Json& json) {
  CacheConfig::Record record;
  record.digest = reader.Text(json, "digest");
  for (const Json& result : reader.Array(json, "layers")) {
    if (!reader.Object(result)) break;
    record.results.push_back(
        {reader.Index(result, "layer", 0), reader.TimeOf(result, "createdAt")});
  }
  for (const Json& chain : reader.Array(json, "chains")) {
    if (!reader.Object(chain)) break;
    CacheConfig::Chain entry{{}, reader.TimeOf(chain, "createdAt")};
    for (const Json& layer : reader.Array(chain, "layers")) {
      reader.bad |= !layer.is_number_integer();
      entry.layers.push_back(layer.is_number_integer() ? layer.get<int>() : 0);
    }
    record.chains.push_back(std::move(entry));
  }
  for (const Json& inputs : reader.Array(json, "inputs")) {
    std::vector<CacheConfig::Input> alternatives;
    for (const Json& input : reader.CheckArray(inputs)) {
      if (!reader.Object(input)) break;
      alternatives.push_back({reader.Text(input, "selector"), reader.Index(input, "link", 0)});
    }
    record.inputs.push_back(std::move(alternatives));
  }
  return record;
}

Status BadDocument() { return InvalidArgumentError("cache config has a member of a wrong type"); }

Json WriteRecord(const CacheConfig::Record& record) {
  Json json = Json::object();
  for (const CacheConfig::Result& result : record.results) {
    json["layers"].push_back(
        {{"layer", result.layer}, {"createdAt", FormatRfc3339Nano(result.created)}});
  }
  for (const CacheConfig::Chain& chain : record.chains) {
    json["chains"].push_back(
        {{"layers", chain.layers}, {"createdAt", FormatRfc3339Nano(chain.created)}});
  }
  if (!record.digest.empty()) json["digest"] = record.digest;
  for (const std::vector<CacheConfig::Input>& alternatives : record.inputs) {
    // Go writes a list without elements that was never made as null.
    Json list = alternatives.empty() ? Json(nullptr) : Json::array();
    for (const CacheConfig::Input& input : alternatives) {
      Json entry = Json::object();
      if (!input.selector.empty()) entry["selector"] = input.selector;
      entry["link"] = input.link;
      list.push_back(std::move(entry));
    }
    json["inputs"].push_back(std::move(list));
  }
  return json;
}

// Whether some node leads back to itself; depth-first without recursion, since a
// hostile document can nest a million deep.
bool HasLoop(const std::vector<std::vector<int>>& links) {
  enum : uint8_t { kNew, kOpen, kDone };
  const size_t count = links.size();
  std::vector<uint8_t> state(count, kNew);
  std::vector<std::pair<size_t, size_t>> stack;
  for (size_t start = 0; start < count; ++start) {
    if (state[start] != kNew) continue;
    stack.emplace_back(start, 0);
    state[start] = kOpen;
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      const std::vector<int>& targets = links[node];
      if (next == targets.size()) {
        state[node] = kDone;
        stack.pop_back();
        continue;
      }
      auto target = static_cast<size_t>(targets[next++]);
      if (state[target] == kOpen) return true;
      if (state[target] == kNew) {
        state[target] = kOpen;
        stack.emplace_back(target, 0);
      }
    }
  }
  return false;
}

std::vector<int> LinksOf(const CacheConfig::Record& record) {
  std::vector<int> links;
  for (const auto& alternatives : record.inputs) {
    for (const CacheConfig::Input& input : alternatives) links.push_back(input.link);
  }
  return links;
}

Status CheckRecord(const CacheConfig& config, size_t index) {
  auto in = [](int i, size_t size) { return i >= 0 && static_cast<size_t>(i) < size; };
  const CacheConfig::Record& record = config.records[index];
  for (const auto& alternatives : record.inputs) {
    if (alternatives.empty()) {
      return InvalidArgumentError(StrCat("invalid empty input for record ", index));
    }
    for (const CacheConfig::Input& input : alternatives) {
      if (!in(input.link, config.records.size())) {
        return InvalidArgumentError(StrCat("invalid record ID: ", input.link));
      }
    }
  }
  for (const CacheConfig::Result& result : record.results) {
    if (!in(result.layer, config.layers.size())) {
      return InvalidArgumentError(StrCat("invalid layer index ", result.layer));
    }
  }
  for (const CacheConfig::Chain& chain : record.chains) {
    for (int layer : chain.layers) {
      if (!in(layer, config.layers.size())) {
        return InvalidArgumentError(StrCat("invalid layer index ", layer));
      }
    }
  }
  return OkStatus();
}

// Positions in sorted order: result[old] = new.
template <typename Less>
std::vector<int> SortedPlaces(size_t count, Less less) {
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), less);
  std::vector<int> places(count);
  for (size_t i = 0; i < count; ++i) places[static_cast<size_t>(order[i])] = static_cast<int>(i);
  return places;
}

template <typename T>
void Permute(std::vector<T>* values, const std::vector<int>& places) {
  std::vector<T> moved(values->size());
  for (size_t i = 0; i < places.size(); ++i) {
    moved[static_cast<size_t>(places[i])] = std::move((*values)[i]);
  }
  *values = std::move(moved);
}

bool RecordLess(const CacheConfig& config, const CacheConfig::Record& a,
                const CacheConfig::Record& b) {
  if (a.digest != b.digest) return a.digest < b.digest;
  if (a.inputs.size() != b.inputs.size()) return a.inputs.size() < b.inputs.size();
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    if (a.inputs[i].size() != b.inputs[i].size()) return a.inputs[i].size() < b.inputs[i].size();
    for (size_t j = 0; j < a.inputs[i].size(); ++j) {
      const CacheConfig::Input& x = a.inputs[i][j];
      const CacheConfig::Input& y = b.inputs[i][j];
      if (x.selector != y.selector) return x.selector < y.selector;
      const std::string& dx = config.records[static_cast<size_t>(x.link)].digest;
      const std::string& dy = config.records[static_cast<size_t>(y.link)].digest;
      if (dx != dy) return dx < dy;
    }
  }
  return false;
}

}  // namespace

Status ValidateCacheConfig(const CacheConfig& config) {
  for (size_t i = 0; i < config.records.size(); ++i) {
    RETURN_IF_ERROR(CheckRecord(config, i));
  }
  for (const CacheConfig::Layer& layer : config.layers) {
    if (layer.parent < -1 || layer.parent >= static_cast<int>(config.layers.size())) {
      return InvalidArgumentError(StrCat("invalid layer index ", layer.parent));
    }
  }
  std::vector<std::vector<int>> links;
  for (const CacheConfig::Record& record : config.records) links.push_back(LinksOf(record));
  if (HasLoop(links)) return InvalidArgumentError("invalid looping record");
  std::vector<std::vector<int>> parents(config.layers.size());
  for (size_t i = 0; i < parents.size(); ++i) {
    if (config.layers[i].parent != -1) parents[i] = {config.layers[i].parent};
  }
  if (HasLoop(parents)) return InvalidArgumentError("invalid looping layer");
  return OkStatus();
}

StatusOr<CacheConfig> ParseCacheConfig(std::string_view json) {
  Json document = Json::parse(json, nullptr, false);
  if (!document.is_object()) return InvalidArgumentError("cache config is not a JSON object");
  Reader reader;
  CacheConfig config;
  for (const Json& layer : reader.Array(document, "layers")) {
    if (!reader.Object(layer)) break;
    config.layers.push_back(ReadLayer(reader, layer));
  }
  for (const Json& record : reader.Array(document, "records")) {
    if (!reader.Object(record)) break;
    config.records.push_back(ReadRecord(reader, record));
  }
  if (reader.bad) return BadDocument();
  RETURN_IF_ERROR(ValidateCacheConfig(config));
  return config;
}

StatusOr<std::vector<CacheConfig::Record>> ParseInlineRecords(std::string_view json) {
  Json document = Json::parse(json, nullptr, false);
  if (!document.is_array()) return InvalidArgumentError("inline cache is not a JSON array");
  Reader reader;
  std::vector<CacheConfig::Record> records;
  for (const Json& record : document) {
    if (!reader.Object(record)) break;
    records.push_back(ReadRecord(reader, record));
  }
  if (reader.bad) return BadDocument();
  return records;
}

std::string FormatCacheConfig(const CacheConfig& config) {
  Json json = Json::object();
  for (const CacheConfig::Layer& layer : config.layers) {
    Json entry = Json::object();
    if (!layer.blob.empty()) entry["blob"] = layer.blob.text();
    if (layer.parent != 0) entry["parent"] = layer.parent;
    if (layer.note) {
      Json note = Json::object();
      if (!layer.note->media_type.empty()) note["mediaType"] = layer.note->media_type;
      if (!layer.note->diff_id.empty()) note["diffID"] = layer.note->diff_id.text();
      if (layer.note->size != 0) note["size"] = layer.note->size;
      note["createdAt"] = FormatRfc3339Nano(layer.note->created);
      entry["annotations"] = std::move(note);
    }
    json["layers"].push_back(std::move(entry));
  }
  for (const CacheConfig::Record& record : config.records) {
    json["records"].push_back(WriteRecord(record));
  }
  return json.dump();
}

std::string FormatInlineRecords(const std::vector<CacheConfig::Record>& records) {
  Json json = Json::array();
  for (const CacheConfig::Record& record : records) json.push_back(WriteRecord(record));
  return json.dump();
}

void SortCacheConfig(CacheConfig* config) {
  std::vector<int> layers = SortedPlaces(config->layers.size(), [&](int a, int b) {
    const CacheConfig::Layer& x = config->layers[static_cast<size_t>(a)];
    const CacheConfig::Layer& y = config->layers[static_cast<size_t>(b)];
    return std::tie(x.blob, x.parent) < std::tie(y.blob, y.parent);
  });
  std::vector<int> records = SortedPlaces(config->records.size(), [&](int a, int b) {
    return RecordLess(*config, config->records[static_cast<size_t>(a)],
                      config->records[static_cast<size_t>(b)]);
  });
  for (CacheConfig::Layer& layer : config->layers) {
    if (layer.parent != -1) layer.parent = layers[static_cast<size_t>(layer.parent)];
  }
  for (CacheConfig::Record& record : config->records) {
    for (CacheConfig::Result& result : record.results) {
      result.layer = layers[static_cast<size_t>(result.layer)];
    }
    for (CacheConfig::Chain& chain : record.chains) {
      for (int& layer : chain.layers) layer = layers[static_cast<size_t>(layer)];
    }
    for (auto& alternatives : record.inputs) {
      for (CacheConfig::Input& input : alternatives) {
        input.link = records[static_cast<size_t>(input.link)];
      }
      std::stable_sort(alternatives.begin(), alternatives.end(),
                       [](const auto& a, const auto& b) { return a.link < b.link; });
    }
  }
  Permute(&config->layers, layers);
  Permute(&config->records, records);
}

}  // namespace kiln::cache
