// Platforms of a result, and what of it belongs to which.
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "oci/image_config.h"
#include "worker/exporter/export_options.h"

namespace kiln::worker {
namespace {

using Json = nlohmann::json;

std::string TextOf(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Platform PlatformOf(const Json& json) {
  Platform platform;
  platform.os = TextOf(json, "os");
  platform.architecture = TextOf(json, "architecture");
  platform.variant = TextOf(json, "variant");
  platform.os_version = TextOf(json, "os.version");
  auto features = json.find("os.features");
  if (features != json.end() && features->is_array()) {
    for (const Json& item : *features) {
      if (item.is_string()) platform.os_features.push_back(item.get<std::string>());
    }
  }
  return platform;
}

StatusOr<std::vector<ExportPlatform>> ParseList(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_null()) return UnknownError("invalid empty platforms index for exporter");
  if (!json.is_object()) return UnknownError("failed to parse platforms passed to exporter");
  std::vector<ExportPlatform> platforms;
  auto list = json.find("Platforms");
  if (list == json.end() || !list->is_array() || list->empty()) {
    return UnknownError("invalid empty platforms index for exporter");
  }
  for (const Json& item : *list) {
    if (!item.is_object()) return UnknownError("failed to parse platforms passed to exporter");
    ExportPlatform platform;
    platform.id = TextOf(item, "ID");
    if (platform.id.empty()) return UnknownError("invalid empty platform key for exporter");
    auto value = item.find("Platform");
    if (value != item.end() && value->is_object()) platform.platform = PlatformOf(*value);
    if (platform.platform.os.empty() || platform.platform.architecture.empty()) {
      return UnknownError(StrCat("invalid platform value {", platform.platform.architecture, " ",
                                 platform.platform.os, "  [] ", platform.platform.variant,
                                 "} for exporter"));
    }
    platform.platform = NormalizePlatform(platform.platform);
    platforms.push_back(std::move(platform));
  }
  return platforms;
}

}  // namespace

StatusOr<std::vector<ExportPlatform>> ParsePlatforms(const Attrs& metadata) {
  auto list = metadata.find("refs.platforms");
  if (list != metadata.end() && !list->second.empty()) return ParseList(list->second);
  Platform platform;
  auto config = metadata.find("containerimage.config");
  if (config == metadata.end()) {
    platform = DefaultPlatform();
  } else {
    ASSIGN_OR_RETURN(oci::Image image, oci::ParseImage(config->second));
    platform = image.platform;
    if (platform.os.empty() != platform.architecture.empty()) {
      return UnknownError("invalid image config: os and architecture must be specified together");
    }
  }
  platform = NormalizePlatform(platform);
  std::vector<ExportPlatform> platforms;
  platforms.push_back({FormatPlatformAll(platform), platform});
  return platforms;
}

const cache::Ref* FindRef(const ExportSource& source, const std::string& id, bool* found) {
  const cache::Ref* ref = nullptr;
  auto one = source.refs.find(id);
  *found = one != source.refs.end() || source.ref.has_value();
  if (one != source.refs.end()) {
    ref = &one->second;
  } else if (source.ref) {
    ref = &*source.ref;
  }
  return ref == nullptr || ref->empty() ? nullptr : ref;
}

std::string PlatformValue(const Attrs& metadata, std::string_view key, std::string_view id) {
  auto found = id.empty() ? metadata.end() : metadata.find(StrCat(key, "/", id));
  if (found == metadata.end()) found = metadata.find(std::string(key));
  return found == metadata.end() ? "" : found->second;
}

}  // namespace kiln::worker
