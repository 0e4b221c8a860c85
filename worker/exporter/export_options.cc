// Attributes of outputs. Platforms of the result are export_platforms.cc.
#include "worker/exporter/export_options.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln::worker {
namespace {

Status ParseBoolValue(std::string_view key, std::string_view value, bool* out) {
  if (ParseBool(value, out)) return OkStatus();
  return UnknownError(StrCat("non-bool value specified for ", key,
                             ": strconv.ParseBool: parsing ", Quote(value), ": invalid syntax"));
}

StatusOr<std::optional<int64_t>> ParseEpoch(std::string_view key, std::string_view value) {
  if (value.empty()) return std::optional<int64_t>();
  int64_t seconds = 0;
  if (!ParseInt64(value, &seconds)) {
    std::string why =
        StrCat("strconv.ParseInt: parsing ", Quote(value), ": invalid syntax");
    return UnknownError(StrCat("invalid ", key, ": ", why, ": ", why));
  }
  return std::optional<int64_t>(seconds);
}

// "annotation-TYPE[PLATFORM].KEY": the parts; false if it is none.
bool SplitAnnotationKey(std::string_view text, std::string_view* type, std::string_view* platform,
                        std::string_view* key) {
  if (!text.starts_with("annotation")) return false;
  text.remove_prefix(10);
  *type = *platform = {};
  if (text.starts_with('-')) {
    size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", 1);
    if (end == std::string_view::npos || end == 1) return false;
    *type = text.substr(1, end - 1);
    text.remove_prefix(end);
  }
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    *platform = text.substr(1, end - 1);
    bool plain = std::all_of(platform->begin(), platform->end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '/' || c == '-';
    });
    if (!plain) return false;
    text.remove_prefix(end + 1);
  }
  if (!text.starts_with('.') || text.size() == 1) return false;
  *key = text.substr(1);
  return key->find_first_of(" \t\n\r\f\v") == std::string_view::npos;
}

Attrs* MapOf(Annotations& annotations, std::string_view type) {
  if (type.empty() || type == "manifest") return &annotations.manifest;
  if (type == "manifest-descriptor") return &annotations.manifest_descriptor;
  if (type == "index") return &annotations.index;
  if (type == "index-descriptor") return &annotations.index_descriptor;
  return nullptr;
}

Status Validate(const ImageOptions& options) {
  if (!options.oci_types.has_value()) return OkStatus();
  bool oci = *options.oci_types;
  if (options.compression.type == oci::Compression::kEstargz && !oci) {
    return UnknownError(
        "exporter option \"compression=estargz\" conflicts with \"oci-mediatypes=false\"");
  }
  if (options.oci_artifact.value_or(false) && !oci) {
    return UnknownError(
        "exporter option \"oci-artifact=true\" conflicts with \"oci-mediatypes=false\"");
  }
  return OkStatus();
}

}  // namespace

Status ParseCompression(const Attrs& attrs, cache::CompressionOptions& options) {
  auto find = [&](const char* key) {
    auto it = attrs.find(key);
    return it == attrs.end() ? nullptr : &it->second;
  };
  using oci::Compression;
  static const std::map<std::string, Compression> kTypes = {
      {"uncompressed", Compression::kUncompressed}, {"gzip", Compression::kGzip},
      {"estargz", Compression::kEstargz}, {"zstd", Compression::kZstd}};
  if (const std::string* type = find("compression")) {
    auto known = kTypes.find(*type);
    if (known == kTypes.end()) {
      return UnknownError(StrCat("unsupported compression type ", *type));
    }
    options.type = known->second;
  }
  if (const std::string* force = find("force-compression")) {
    options.force = true;
    if (!force->empty() && !ParseBool(*force, &options.force)) {
      return UnknownError(StrCat("non-bool value ", *force, " specified for force-compression: ",
                                 "strconv.ParseBool: parsing ", Quote(*force),
                                 ": invalid syntax"));
    }
  }
  if (const std::string* level = find("compression-level")) {
    int64_t number = 0;
    if (!ParseInt64(*level, &number)) {
      return UnknownError(StrCat("non-integer value ", *level, " specified for compression-level: ",
                                 "strconv.ParseInt: parsing ", Quote(*level),
                                 ": invalid syntax"));
    }
    options.level = static_cast<int>(std::clamp<int64_t>(number, -10, 100));
  }
  return OkStatus();
}

Status ParseFlag(std::string_view key, std::string_view value, bool* flag) {
  *flag = true;
  return value.empty() ? OkStatus() : ParseBoolValue(key, value, flag);
}

Status TakeAnnotations(Attrs& attrs, AnnotationGroup& group) {
  for (auto it = attrs.begin(); it != attrs.end();) {
    std::string_view type, platform, key;
    if (!SplitAnnotationKey(it->first, &type, &platform, &key)) {
      ++it;
      continue;
    }
    std::string shown;
    if (!platform.empty()) {
      ASSIGN_OR_RETURN(Platform parsed, ParsePlatform(platform));
      shown = FormatPlatformAll(parsed);
    }
    Attrs* map = MapOf(group[shown], type);
    if (map == nullptr) return UnknownError(StrCat("unrecognized annotation type ", type));
    (*map)[std::string(key)] = it->second;
    it = attrs.erase(it);
  }
  return OkStatus();
}

Annotations AnnotationsFor(const AnnotationGroup& group, const Platform* platform) {
  Annotations all;
  auto copy = [](const Attrs& from, Attrs& to) {
    for (const auto& [key, value] : from) to[key] = value;
  };
  for (const auto& [key, part] : group) {
    copy(part.index, all.index);
    copy(part.index_descriptor, all.index_descriptor);
  }
  std::vector<std::string> keys = {""};
  if (platform != nullptr) keys.push_back(FormatPlatformAll(*platform));
  for (const std::string& key : keys) {
    auto found = group.find(key);
    if (found == group.end()) continue;
    copy(found->second.manifest, all.manifest);
    copy(found->second.manifest_descriptor, all.manifest_descriptor);
  }
  return all;
}

Status TakeEpoch(Attrs& attrs, EpochOption& epoch) {
  constexpr const char* kKey = "source-date-epoch";
  auto found = attrs.find(kKey);
  if (found == attrs.end()) return OkStatus();
  ASSIGN_OR_RETURN(epoch, ParseEpoch(kKey, found->second));
  attrs.erase(found);
  return OkStatus();
}

StatusOr<std::optional<int64_t>> SourceEpoch(const Attrs& metadata, std::string_view platform_id) {
  constexpr std::string_view kKey = "source.date.epoch";
  auto found = metadata.end();
  if (!platform_id.empty()) found = metadata.find(StrCat(kKey, "/", platform_id));
  if (found == metadata.end()) found = metadata.find(std::string(kKey));
  if (found == metadata.end()) return std::optional<int64_t>();
  StatusOr<std::optional<int64_t>> epoch = ParseEpoch("", found->second);
  if (!epoch.ok()) {
    return Annotate(epoch.status(), StrCat("invalid SOURCE_DATE_EPOCH from frontend: ",
                                           Quote(found->second)));
  }
  return epoch;
}

StatusOr<ImageOptions> TakeImageOptions(Attrs& attrs, ImageOptions defaults) {
  ImageOptions options = std::move(defaults);
  RETURN_IF_ERROR(TakeAnnotations(attrs, options.annotations));
  RETURN_IF_ERROR(TakeEpoch(attrs, options.epoch));
  RETURN_IF_ERROR(ParseCompression(attrs, options.compression));
  bool flag = false;
  for (auto it = attrs.begin(); it != attrs.end();) {
    const auto& [key, value] = *it;
    bool* target = key == "attestation-inline"      ? &options.force_inline_attestations
                   : key == "prefer-nondist-layers" ? &options.prefer_nondistributable
                   : key == "rewrite-timestamp"     ? &options.rewrite_timestamp
                   : key == "oci-mediatypes" || key == "oci-artifact" ? &flag
                                                                      : nullptr;
    if (target != nullptr) {
      RETURN_IF_ERROR(ParseBoolValue(key, value, target));
      if (key == "oci-mediatypes") options.oci_types = flag;
      if (key == "oci-artifact") options.oci_artifact = flag;
    } else if (key == "name") {
      options.name = value;
    } else if (key != "compression" && key != "force-compression" && key != "compression-level") {
      ++it;
      continue;
    }
    it = attrs.erase(it);
  }
  RETURN_IF_ERROR(Validate(options));
  return options;
}

Status CompleteImageOptions(ImageOptions& options, bool default_oci_types, int compatibility) {
  if (!options.oci_types) options.oci_types = default_oci_types;
  if (!options.oci_artifact) options.oci_artifact = compatibility >= 30 && *options.oci_types;
  options.compression.oci_types = *options.oci_types;
  return Validate(options);
}

}  // namespace kiln::worker
