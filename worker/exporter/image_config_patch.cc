// History and root file system of an exported config, as the reference patches them.
#include "worker/exporter/image_config_patch.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/go_json.h"
#include "base/platform.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

using Json = nlohmann::ordered_json;
using oci::History;

std::string TimeText(Time time) { return time.set() ? FormatRfc3339Nano(time) : ""; }

bool IsAfter(std::string_view text, int64_t epoch) {
  StatusOr<Time> time = ParseRfc3339(text);
  return time.ok() && time->nanos > Time::FromSeconds(epoch).nanos;
}

bool SameHistory(const History& a, const History& b) {
  return NormalizeTimeText(a.created) == NormalizeTimeText(b.created) &&
         a.created_by == b.created_by && a.author == b.author && a.comment == b.comment &&
         a.empty_layer == b.empty_layer;
}

// The facts that stand for the image's layers: the topmost ones of the chain.
std::vector<LayerFacts> FactsFor(const ConfigPatch& patch) {
  size_t limit = patch.layers.size();
  if (patch.chain.empty()) return std::vector<LayerFacts>(limit);
  std::vector<LayerFacts> facts = patch.chain;
  if (limit < facts.size()) {
    facts.erase(facts.begin(), facts.end() - static_cast<ptrdiff_t>(limit));
  }
  for (LayerFacts& fact : facts) {
    if (fact.description.empty()) fact.description = "created by buildkit";
  }
  return facts;
}

void MatchLayers(std::vector<History>& history, const ConfigPatch& patch) {
  std::vector<LayerFacts> facts = FactsFor(patch);
  size_t with_layer = static_cast<size_t>(std::count_if(
      history.begin(), history.end(), [](const History& item) { return !item.empty_layer; }));
  if (with_layer > patch.layers.size()) {
    size_t seen = 0;
    for (History& item : history) {
      if (seen >= patch.layers.size()) item.empty_layer = true;
      if (!item.empty_layer) ++seen;
    }
  }
  if (patch.layers.size() > with_layer) {
    for (size_t i = with_layer; i < facts.size(); ++i) {
      History item;
      item.created = TimeText(facts[i].created);
      item.created_by = facts[i].description;
      item.comment = "buildkit.exporter.image.v0";
      history.push_back(std::move(item));
    }
  }
  size_t layer = 0;
  for (History& item : history) {
    if (item.empty_layer) continue;
    if (item.created.empty() && layer < facts.size()) item.created = TimeText(facts[layer].created);
    ++layer;
  }
}

// Entries without a layer get the time of the first new layer, or of the one before.
void FillTimes(std::vector<History>& history) {
  std::string created;
  bool missing = false;
  for (const History& item : history) {
    if (item.created.empty()) {
      missing = true;
      continue;
    }
    created = item.created;
    if (missing) break;
  }
  missing = false;
  for (History& item : history) {
    if (!item.created.empty()) {
      if (missing) created = item.created;
    } else {
      missing = true;
      item.created = created;
    }
  }
}

void ClampHistory(std::vector<History>& history, const std::vector<History>& base, int64_t epoch) {
  bool diverged = false;
  for (size_t i = 0; i < history.size(); ++i) {
    if (!diverged && i < base.size() && SameHistory(history[i], base[i])) continue;
    diverged = true;
    if (history[i].created.empty() || IsAfter(history[i].created, epoch)) {
      history[i].created = FormatRfc3339(Time::FromSeconds(epoch));
    }
  }
}

std::string HistoryJson(const std::vector<History>& history, bool was_list) {
  if (history.empty()) return was_list ? "[]" : "null";
  std::string text = "[";
  for (const History& item : history) {
    GoJsonObject object;
    object.OmitString("created", NormalizeTimeText(item.created));
    object.OmitString("created_by", item.created_by);
    object.OmitString("author", item.author);
    object.OmitString("comment", item.comment);
    object.OmitBool("empty_layer", item.empty_layer);
    text += StrCat(text.size() > 1 ? "," : "", object.Finish());
  }
  return text + "]";
}

std::string RootfsJson(const std::vector<LayerFacts>& layers) {
  std::vector<std::string> diff_ids;
  for (const LayerFacts& layer : layers) diff_ids.push_back(layer.diff_id);
  GoJsonObject object;
  object.String("type", "layers");
  object.Raw("diff_ids", diff_ids.empty() ? "null" : GoJsonArray(diff_ids));
  return object.Finish();
}

// Go escapes these inside of strings, and nowhere else can they stand.
std::string EscapeForGo(std::string_view json) {
  std::string text = ReplaceAll(json, "<", "\\u003c");
  text = ReplaceAll(text, ">", "\\u003e");
  text = ReplaceAll(text, "&", "\\u0026");
  text = ReplaceAll(text, "\xe2\x80\xa8", "\\u2028");
  return ReplaceAll(text, "\xe2\x80\xa9", "\\u2029");
}

std::string CreatedJson(const std::string& current, const std::vector<History>& history,
                        std::optional<int64_t> epoch) {
  if (!current.empty()) {
    Json text = Json::parse(current, nullptr, false);
    bool late = epoch && text.is_string() && IsAfter(text.get<std::string>(), *epoch);
    return late ? GoJsonString(FormatRfc3339(Time::FromSeconds(*epoch))) : current;
  }
  for (auto it = history.rbegin(); it != history.rend(); ++it) {
    if (!it->created.empty()) return GoJsonString(NormalizeTimeText(it->created));
  }
  return "null";
}

}  // namespace

std::string NormalizeTimeText(std::string_view text) {
  size_t dot = text.find('.');
  std::string out(text);
  if (dot != std::string_view::npos) {
    size_t end = text.find_first_not_of("0123456789", dot + 1);
    if (end == std::string_view::npos) end = text.size();
    std::string_view fraction = text.substr(dot + 1, end - dot - 1);
    size_t keep = fraction.find_last_not_of('0');
    std::string kept =
        keep == std::string_view::npos ? "" : StrCat(".", fraction.substr(0, keep + 1));
    out = StrCat(text.substr(0, dot), kept, text.substr(end));
  }
  if (out.ends_with("+00:00")) out.replace(out.size() - 6, 6, "Z");
  return out;
}

std::string DefaultImageConfig() {
  Platform platform = NormalizePlatform(DefaultPlatform());
  oci::Image image;
  image.platform = platform;
  image.rootfs_type = "layers";
  image.config.working_dir = "/";
  image.config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  GoJsonObject config;
  config.Raw("Env", GoJsonArray(image.config.env));
  config.String("WorkingDir", "/");
  GoJsonObject object;
  object.String("architecture", platform.architecture);
  object.OmitString("variant", platform.variant);
  object.String("os", platform.os);
  object.Raw("config", config.Finish());
  return object.Finish();
}

StatusOr<std::string> PatchImageConfig(std::string_view config, const ConfigPatch& patch) {
  std::string fallback;
  if (config.empty()) {
    fallback = DefaultImageConfig();
    config = fallback;
  }
  StatusOr<oci::Image> image = oci::ParseImage(config);
  if (!image.ok()) return Annotate(image.status(), "invalid image config for export");
  if (image->platform.os.empty()) {
    return UnknownError("invalid image config for export: missing os");
  }
  if (image->platform.architecture.empty()) {
    return UnknownError("invalid image config for export: missing architecture");
  }
  std::vector<History> base;
  if (!patch.base_config.empty()) {
    StatusOr<oci::Image> parsed = oci::ParseImage(patch.base_config);
    if (!parsed.ok()) return Annotate(parsed.status(), "failed to unmarshal base image config");
    base = std::move(parsed->history);
  }
  std::vector<History> history = std::move(image->history);
  MatchLayers(history, patch);
  FillTimes(history);
  if (patch.epoch) ClampHistory(history, base, *patch.epoch);

  Json json = Json::parse(config, nullptr, false);
  std::map<std::string, std::string> members;
  constexpr auto kReplace = Json::error_handler_t::replace;
  for (const auto& [key, value] : json.items()) {
    members[key] = EscapeForGo(value.dump(-1, ' ', false, kReplace));
  }
  bool was_list = json.contains("history") && json["history"].is_array();
  members["rootfs"] = RootfsJson(patch.layers);
  members["history"] = HistoryJson(history, was_list);
  members["created"] = CreatedJson(members["created"], history, patch.epoch);
  if (!patch.inline_cache.empty()) {
    members["moby.buildkit.cache.v0"] = GoJsonString(Base64Encode(patch.inline_cache));
  }
  GoJsonObject object;
  for (const auto& [key, value] : members) object.Raw(key, value);
  return object.Finish();
}

}  // namespace kiln::worker
