// Choice among platforms is the registry client's: the best one that the asked
// platform can run.
#include "frontend/dockerfile/offline/image_catalog.h"

#include <nlohmann/json.hpp>

#include "base/go_json.h"
#include "base/strings.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

std::string MadeUpConfig(const Platform& platform, const Digest& digest) {
  GoJsonObject config, rootfs, object;
  config.Raw("Env", R"(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])");
  rootfs.String("type", "layers");
  rootfs.Raw("diff_ids", GoJsonArray({digest.text()}));
  object.String("architecture", platform.architecture);
  object.String("os", platform.os);
  object.OmitString("variant", platform.variant);
  object.Raw("config", config.Finish());
  object.Raw("rootfs", rootfs.Finish());
  return object.Finish();
}

}  // namespace

ImageCatalog ImageCatalog::Any() {
  ImageCatalog catalog;
  catalog.any_ = true;
  return catalog;
}

StatusOr<ImageCatalog> ImageCatalog::FromJson(std::string_view json) {
  const auto parsed = nlohmann::ordered_json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("images") || !parsed["images"].is_array()) {
    return InvalidArgumentError("image list: no array \"images\"");
  }
  ImageCatalog catalog;
  for (const auto& entry : parsed["images"]) {
    if (!entry.is_object() || !entry.contains("ref") || !entry.contains("digest") ||
        !entry.contains("platforms") || !entry["ref"].is_string() ||
        !entry["digest"].is_string() || !entry["platforms"].is_object()) {
      return InvalidArgumentError("image list: an entry lacks ref, digest or platforms");
    }
    Image image;
    image.digest = Digest::Trusted(entry["digest"].get<std::string>());
    image.single_manifest = entry.value("singleManifest", false);
    for (const auto& [name, config] : entry["platforms"].items()) {
      ASSIGN_OR_RETURN(const Platform platform, ParsePlatform(name));
      image.configs.emplace_back(NormalizePlatform(platform), config.dump());
    }
    catalog.images_[entry["ref"].get<std::string>()] = std::move(image);
  }
  return catalog;
}

StatusOr<ImageCatalog::Found> ImageCatalog::Find(const std::string& reference,
                                                 const Platform& platform) const {
  ASSIGN_OR_RETURN(const oci::Reference name, oci::ParseReference(reference));
  const Platform wanted = NormalizePlatform(platform);
  if (any_) {
    Found found;
    found.digest = name.digest.empty() ? Digest::Of(reference) : name.digest;
    found.config = MadeUpConfig(wanted, found.digest);
    return found;
  }
  const Image* image = nullptr;
  for (const auto& [text, candidate] : images_) {
    StatusOr<oci::Reference> known = oci::ParseReference(text);
    if (!known.ok() || known->Name() != name.Name()) continue;
    if (!name.digest.empty() ? candidate.digest == name.digest : known->tag == name.tag) {
      image = &candidate;
    }
  }
  if (image == nullptr) return NotFoundError(reference + ": not found");
  const std::pair<Platform, std::string>* best = nullptr;
  for (const auto& config : image->configs) {
    if (image->single_manifest || config.first == wanted) {
      best = &config;
      break;
    }
    if (!PlatformMatchesOnly(wanted, config.first)) continue;
    if (best == nullptr || PlatformBetter(wanted, config.first, best->first)) best = &config;
  }
  if (best == nullptr) {
    return NotFoundError(reference + ": no match for platform in manifest: not found");
  }
  return Found{image->digest, best->second};
}

}  // namespace kiln::dockerfile
