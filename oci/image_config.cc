// Reading with nlohmann, writing by hand: Go's order of members and its rules on
// which of them are left out.
#include "oci/image_config.h"

#include <nlohmann/json.hpp>

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::oci {
namespace {

using Json = nlohmann::json;

// Reads members of one object; the first wrong type is remembered.
class Reader {
 public:
  Reader(const Json& object, std::string* error) : object_(object), error_(error) {}

  const Json* Find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void Read(const char* key, std::string* out) {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_string()) return Fail(key);
    *out = value->get<std::string>();
  }
  void Read(const char* key, bool* out) {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) return Fail(key);
    *out = value->get<bool>();
  }
  void Read(const char* key, int64_t* out) {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_number_integer()) return Fail(key);
    *out = value->get<int64_t>();
  }
  void Read(const char* key, std::vector<std::string>* out) {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_array()) return Fail(key);
    for (const Json& item : *value) {
      if (!item.is_string()) return Fail(key);
      out->push_back(item.get<std::string>());
    }
  }
  void Read(const char* key, std::map<std::string, std::string>* out) {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_object()) return Fail(key);
    for (const auto& [name, item] : value->items()) {
      if (!item.is_string()) return Fail(key);
      (*out)[name] = item.get<std::string>();
    }
  }
  void Read(const char* key, std::set<std::string>* out) {
    const Json* value = Find(key);
    if (value == nullptr) return;
    if (!value->is_object()) return Fail(key);
    for (const auto& [name, item] : value->items()) out->insert(name);
  }
  void Fail(const char* key) {
    if (error_->empty()) *error_ = StrCat("json: cannot unmarshal member ", key);
  }

 private:
  const Json& object_;
  std::string* error_;
};

// Go reads and prints times again, so zeros at the end of a fraction go.
std::string CanonicalTime(std::string text) {
  const size_t dot = text.find('.');
  if (dot != std::string::npos) {
    size_t end = dot + 1;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    size_t keep = end;
    while (keep > dot + 1 && text[keep - 1] == '0') --keep;
    if (keep == dot + 1) keep = dot;
    text.erase(keep, end - keep);
  }
  if (text.ends_with("+00:00")) text.replace(text.size() - 6, 6, "Z");
  return text;
}

HealthcheckConfig ReadHealthcheck(const Json& json, std::string* error) {
  HealthcheckConfig health;
  Reader reader(json, error);
  reader.Read("Test", &health.test);
  reader.Read("Interval", &health.interval);
  reader.Read("Timeout", &health.timeout);
  reader.Read("StartPeriod", &health.start_period);
  reader.Read("StartInterval", &health.start_interval);
  reader.Read("Retries", &health.retries);
  return health;
}

ImageConfig ReadConfig(const Json& json, std::string* error) {
  ImageConfig config;
  Reader reader(json, error);
  reader.Read("User", &config.user);
  reader.Read("ExposedPorts", &config.exposed_ports);
  reader.Read("Env", &config.env);
  reader.Read("Entrypoint", &config.entrypoint);
  reader.Read("Cmd", &config.cmd);
  reader.Read("Volumes", &config.volumes);
  reader.Read("WorkingDir", &config.working_dir);
  reader.Read("Labels", &config.labels);
  reader.Read("StopSignal", &config.stop_signal);
  reader.Read("ArgsEscaped", &config.args_escaped);
  if (const Json* health = reader.Find("Healthcheck")) {
    config.healthcheck = ReadHealthcheck(*health, error);
  }
  reader.Read("OnBuild", &config.on_build);
  reader.Read("Shell", &config.shell);
  return config;
}

void ReadRootfs(const Json& json, Image* image, std::string* error) {
  Reader rootfs(json, error);
  rootfs.Read("type", &image->rootfs_type);
  if (rootfs.Find("diff_ids") != nullptr) {
    image->diff_ids.emplace();
    rootfs.Read("diff_ids", &*image->diff_ids);
  }
}

std::string KeySet(const std::set<std::string>& keys) {
  GoJsonObject object;
  for (const std::string& key : keys) object.Raw(key, "{}");
  return object.Finish();
}

std::string HealthcheckJson(const HealthcheckConfig& health) {
  GoJsonObject object;
  object.OmitArray("Test", health.test);
  object.OmitInt("Interval", health.interval);
  object.OmitInt("Timeout", health.timeout);
  object.OmitInt("StartPeriod", health.start_period);
  object.OmitInt("StartInterval", health.start_interval);
  object.OmitInt("Retries", health.retries);
  return object.Finish();
}

std::string ConfigJson(const ImageConfig& config) {
  GoJsonObject object;
  object.OmitString("User", config.user);
  if (!config.exposed_ports.empty()) object.Raw("ExposedPorts", KeySet(config.exposed_ports));
  object.OmitArray("Env", config.env);
  object.OmitArray("Entrypoint", config.entrypoint);
  object.OmitArray("Cmd", config.cmd);
  if (!config.volumes.empty()) object.Raw("Volumes", KeySet(config.volumes));
  object.OmitString("WorkingDir", config.working_dir);
  if (!config.labels.empty()) {
    GoJsonObject labels;
    for (const auto& [key, value] : config.labels) labels.String(key, value);
    object.Raw("Labels", labels.Finish());
  }
  object.OmitString("StopSignal", config.stop_signal);
  object.OmitBool("ArgsEscaped", config.args_escaped);
  if (config.healthcheck) object.Raw("Healthcheck", HealthcheckJson(*config.healthcheck));
  object.OmitArray("OnBuild", config.on_build);
  object.OmitArray("Shell", config.shell);
  return object.Finish();
}

std::string HistoryJson(const std::vector<History>& history) {
  std::string out = "[";
  for (const History& entry : history) {
    GoJsonObject object;
    object.OmitString("created", entry.created);
    object.OmitString("created_by", entry.created_by);
    object.OmitString("author", entry.author);
    object.OmitString("comment", entry.comment);
    object.OmitBool("empty_layer", entry.empty_layer);
    if (out.size() > 1) out += ',';
    out += object.Finish();
  }
  return out + "]";
}

void WritePlatform(const Platform& platform, GoJsonObject* object) {
  object->String("architecture", platform.architecture);
  object->String("os", platform.os);
  object->OmitString("os.version", platform.os_version);
  object->OmitArray("os.features", platform.os_features);
  object->OmitString("variant", platform.variant);
}

}  // namespace

StatusOr<Image> ParseImage(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_null()) return InvalidArgumentError("invalid null image config for export");
  if (!parsed.is_object()) return InvalidArgumentError("image config is no JSON object");
  Image image;
  std::string error;
  Reader reader(parsed, &error);
  reader.Read("created", &image.created);
  image.created = CanonicalTime(std::move(image.created));
  reader.Read("author", &image.author);
  reader.Read("architecture", &image.platform.architecture);
  reader.Read("os", &image.platform.os);
  reader.Read("os.version", &image.platform.os_version);
  reader.Read("os.features", &image.platform.os_features);
  reader.Read("variant", &image.platform.variant);
  if (const Json* rootfs = reader.Find("rootfs")) ReadRootfs(*rootfs, &image, &error);
  if (const Json* history = reader.Find("history"); history != nullptr && history->is_array()) {
    for (const Json& item : *history) {
      History entry;
      Reader fields(item, &error);
      fields.Read("created", &entry.created);
      entry.created = CanonicalTime(std::move(entry.created));
      fields.Read("created_by", &entry.created_by);
      fields.Read("author", &entry.author);
      fields.Read("comment", &entry.comment);
      fields.Read("empty_layer", &entry.empty_layer);
      image.history.push_back(std::move(entry));
    }
  }
  if (const Json* config = reader.Find("config")) image.config = ReadConfig(*config, &error);
  if (!error.empty()) return InvalidArgumentError(error);
  return image;
}

std::string ImageJson(const Image& image) {
  GoJsonObject object;
  object.OmitString("created", image.created);
  object.OmitString("author", image.author);
  WritePlatform(image.platform, &object);
  GoJsonObject rootfs;
  rootfs.String("type", image.rootfs_type);
  rootfs.Raw("diff_ids", image.diff_ids ? GoJsonArray(*image.diff_ids) : "null");
  object.Raw("rootfs", rootfs.Finish());
  if (!image.history.empty()) object.Raw("history", HistoryJson(image.history));
  object.Raw("config", ConfigJson(image.config));
  return object.Finish();
}

std::string PlatformJson(const Platform& platform) {
  GoJsonObject object;
  WritePlatform(platform, &object);
  return object.Finish();
}

}  // namespace kiln::oci
