// Reading with nlohmann, writing in Go's order of members. See manifest.h.
#include "oci/manifest.h"

#include <nlohmann/json.hpp>

#include "base/go_json.h"
#include "base/strings.h"
#include "oci/image_config.h"

namespace kiln::oci {
namespace {

using Json = nlohmann::json;

Status Wrong(std::string_view what) {
  return InvalidArgumentError(StrCat("invalid image document: ", what));
}

StatusOr<Json> ParseObject(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Wrong("not a JSON object");
  return json;
}

const Json* Member(const Json& object, const char* key) {
  auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Status ReadText(const Json& object, const char* key, std::string* out) {
  const Json* value = Member(object, key);
  if (value == nullptr) return OkStatus();
  if (!value->is_string()) return Wrong(key);
  *out = value->get<std::string>();
  return OkStatus();
}

Status ReadTexts(const Json& object, const char* key, std::vector<std::string>* out) {
  const Json* value = Member(object, key);
  if (value == nullptr) return OkStatus();
  if (!value->is_array()) return Wrong(key);
  for (const Json& item : *value) {
    if (!item.is_string()) return Wrong(key);
    out->push_back(item.get<std::string>());
  }
  return OkStatus();
}

Status ReadAnnotations(const Json& object, std::map<std::string, std::string>* out) {
  const Json* value = Member(object, "annotations");
  if (value == nullptr) return OkStatus();
  if (!value->is_object()) return Wrong("annotations");
  for (const auto& [key, item] : value->items()) {
    if (!item.is_string()) return Wrong("annotations");
    (*out)[key] = item.get<std::string>();
  }
  return OkStatus();
}

StatusOr<Platform> ReadPlatform(const Json& json) {
  if (!json.is_object()) return Wrong("platform");
  Platform platform;
  RETURN_IF_ERROR(ReadText(json, "os", &platform.os));
  RETURN_IF_ERROR(ReadText(json, "architecture", &platform.architecture));
  RETURN_IF_ERROR(ReadText(json, "variant", &platform.variant));
  RETURN_IF_ERROR(ReadText(json, "os.version", &platform.os_version));
  RETURN_IF_ERROR(ReadTexts(json, "os.features", &platform.os_features));
  return platform;
}

StatusOr<Descriptor> ReadDescriptor(const Json& json) {
  if (!json.is_object()) return Wrong("descriptor");
  Descriptor descriptor;
  std::string digest, data;
  RETURN_IF_ERROR(ReadText(json, "mediaType", &descriptor.media_type));
  RETURN_IF_ERROR(ReadText(json, "digest", &digest));
  ASSIGN_OR_RETURN(descriptor.digest, Digest::Parse(digest));
  if (const Json* size = Member(json, "size")) {
    if (!size->is_number_integer()) return Wrong("size");
    descriptor.size = size->get<int64_t>();
  }
  if (descriptor.size < 0) return Wrong("size");
  RETURN_IF_ERROR(ReadTexts(json, "urls", &descriptor.urls));
  RETURN_IF_ERROR(ReadAnnotations(json, &descriptor.annotations));
  RETURN_IF_ERROR(ReadText(json, "data", &data));
  if (!Base64Decode(data, &descriptor.data)) return Wrong("data");
  RETURN_IF_ERROR(ReadText(json, "artifactType", &descriptor.artifact_type));
  if (const Json* platform = Member(json, "platform")) {
    ASSIGN_OR_RETURN(descriptor.platform, ReadPlatform(*platform));
  }
  return descriptor;
}

Status ReadDescriptors(const Json& object, const char* key, std::vector<Descriptor>* out) {
  const Json* value = Member(object, key);
  if (value == nullptr) return OkStatus();
  if (!value->is_array()) return Wrong(key);
  for (const Json& item : *value) {
    ASSIGN_OR_RETURN(Descriptor descriptor, ReadDescriptor(item));
    out->push_back(std::move(descriptor));
  }
  return OkStatus();
}

Status ReadSubject(const Json& object, std::optional<Descriptor>* out) {
  const Json* value = Member(object, "subject");
  if (value == nullptr) return OkStatus();
  ASSIGN_OR_RETURN(*out, ReadDescriptor(*value));
  return OkStatus();
}

void OmitMap(GoJsonObject& object, std::string_view key,
             const std::map<std::string, std::string>& map) {
  if (map.empty()) return;
  GoJsonObject members;
  for (const auto& [name, value] : map) members.String(name, value);
  object.Raw(key, members.Finish());
}

// A list that was never filled is null in Go.
std::string DescriptorsJson(const std::vector<Descriptor>& descriptors) {
  if (descriptors.empty()) return "null";
  std::string text = "[";
  for (const Descriptor& descriptor : descriptors) {
    if (text.size() > 1) text += ',';
    text += DescriptorJson(descriptor);
  }
  return text + "]";
}

}  // namespace

StatusOr<Manifest> ParseManifest(std::string_view text) {
  ASSIGN_OR_RETURN(Json json, ParseObject(text));
  // One document must not be taken for the other: CVE-2021-41190.
  if (Member(json, "manifests") != nullptr) return Wrong("manifest with \"manifests\"");
  Manifest manifest;
  RETURN_IF_ERROR(ReadText(json, "mediaType", &manifest.media_type));
  if (IsIndexType(manifest.media_type)) return Wrong("index given as manifest");
  RETURN_IF_ERROR(ReadText(json, "artifactType", &manifest.artifact_type));
  const Json* config = Member(json, "config");
  if (config == nullptr) return Wrong("manifest without config");
  ASSIGN_OR_RETURN(manifest.config, ReadDescriptor(*config));
  RETURN_IF_ERROR(ReadDescriptors(json, "layers", &manifest.layers));
  RETURN_IF_ERROR(ReadSubject(json, &manifest.subject));
  RETURN_IF_ERROR(ReadAnnotations(json, &manifest.annotations));
  return manifest;
}

StatusOr<Index> ParseIndex(std::string_view text) {
  ASSIGN_OR_RETURN(Json json, ParseObject(text));
  if (Member(json, "config") != nullptr || Member(json, "layers") != nullptr) {
    return Wrong("index with \"config\" or \"layers\"");
  }
  Index index;
  RETURN_IF_ERROR(ReadText(json, "mediaType", &index.media_type));
  if (IsManifestType(index.media_type)) return Wrong("manifest given as index");
  RETURN_IF_ERROR(ReadText(json, "artifactType", &index.artifact_type));
  RETURN_IF_ERROR(ReadDescriptors(json, "manifests", &index.manifests));
  RETURN_IF_ERROR(ReadSubject(json, &index.subject));
  RETURN_IF_ERROR(ReadAnnotations(json, &index.annotations));
  return index;
}

StatusOr<Descriptor> ParseDescriptor(std::string_view text) {
  ASSIGN_OR_RETURN(Json json, ParseObject(text));
  return ReadDescriptor(json);
}

std::string MediaTypeOf(std::string_view text) {
  StatusOr<Json> json = ParseObject(text);
  if (!json.ok()) return "";
  std::string type;
  if (ReadText(*json, "mediaType", &type).ok() && !type.empty()) return type;
  if (Member(*json, "manifests") != nullptr) return std::string(kOciIndex);
  if (Member(*json, "config") != nullptr) return std::string(kOciManifest);
  return "";
}

std::string DescriptorJson(const Descriptor& descriptor) {
  GoJsonObject object;
  object.String("mediaType", descriptor.media_type);
  object.String("digest", descriptor.digest.text());
  object.Int("size", descriptor.size);
  object.OmitArray("urls", descriptor.urls);
  OmitMap(object, "annotations", descriptor.annotations);
  if (!descriptor.data.empty()) object.String("data", Base64Encode(descriptor.data));
  if (descriptor.platform) object.Raw("platform", PlatformJson(*descriptor.platform));
  object.OmitString("artifactType", descriptor.artifact_type);
  return object.Finish();
}

std::string ManifestJson(const Manifest& manifest) {
  GoJsonObject object;
  object.Int("schemaVersion", 2);
  object.OmitString("mediaType", manifest.media_type);
  object.OmitString("artifactType", manifest.artifact_type);
  object.Raw("config", DescriptorJson(manifest.config));
  object.Raw("layers", DescriptorsJson(manifest.layers));
  if (manifest.subject) object.Raw("subject", DescriptorJson(*manifest.subject));
  OmitMap(object, "annotations", manifest.annotations);
  return object.Finish();
}

std::string IndexJson(const Index& index) {
  GoJsonObject object;
  object.Int("schemaVersion", 2);
  object.OmitString("mediaType", index.media_type);
  object.OmitString("artifactType", index.artifact_type);
  object.Raw("manifests", DescriptorsJson(index.manifests));
  if (index.subject) object.Raw("subject", DescriptorJson(*index.subject));
  OmitMap(object, "annotations", index.annotations);
  return object.Finish();
}

const Descriptor* ChooseManifest(const Index& index, const Platform& platform) {
  const Descriptor* best = nullptr;
  for (const Descriptor& manifest : index.manifests) {
    if (!manifest.platform || !PlatformMatchesOnly(platform, *manifest.platform)) continue;
    if (best == nullptr || PlatformBetter(platform, *manifest.platform, *best->platform)) {
      best = &manifest;
    }
  }
  return best;
}

}  // namespace kiln::oci
