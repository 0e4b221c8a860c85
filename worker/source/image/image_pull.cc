// Manifests, configs and the keys that follow from them. See image_pull.h.
#include "worker/source/image/image_pull.h"

#include "base/go_json.h"
#include "base/strings.h"
#include "oci/image_config.h"
#include "oci/manifest.h"

namespace kiln::worker {
namespace {

using oci::Descriptor;

// From the store, else from the source and into the store.
StatusOr<std::string> Fetch(cache::BlobSource& source, const Descriptor& blob,
                            cache::ContentStore& store) {
  StatusOr<std::string> own = cache::ReadBlob(store, blob);
  if (own.ok()) return own;
  ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(source, blob));
  if (blob.digest.algorithm() == "sha256" && Digest::Of(bytes) != blob.digest) {
    return DataLossError(StrCat("failed commit on ref: unexpected commit digest ",
                                Digest::Of(bytes).text(), ", expected ", blob.digest.text(),
                                ": failed precondition"));
  }
  RETURN_IF_ERROR(cache::WriteBlob(store, bytes, blob.media_type));
  return bytes;
}

Status SetLayers(const oci::Manifest& manifest, PulledImage& image) {
  StatusOr<oci::Image> config = oci::ParseImage(image.config);
  if (!config.ok()) return Annotate(config.status(), "failed to resolve rootfs");
  std::vector<std::string> diff_ids = config->diff_ids.value_or(std::vector<std::string>());
  if (diff_ids.size() != manifest.layers.size()) {
    return InvalidArgumentError(StrCat("mismatched image rootfs and manifest layers: ",
                                       diff_ids.size(), " and ", manifest.layers.size()));
  }
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    cache::Layer layer;
    layer.blob = manifest.layers[i];
    ASSIGN_OR_RETURN(layer.diff_id.digest, Digest::Parse(diff_ids[i]));
    layer.description = StrCat("pulled from ", image.ref);
    image.layers.push_back(std::move(layer));
  }
  return OkStatus();
}

}  // namespace

StatusOr<PulledImage> PullImage(ImageOrigin& origin, const std::string& ref,
                                const Platform& platform, cache::ContentStore& store) {
  PulledImage image;
  image.ref = ref;
  ASSIGN_OR_RETURN(image.root, origin.Resolve(ref));
  image.source = origin.Blobs(ref);
  ASSIGN_OR_RETURN(std::string bytes, Fetch(*image.source, image.root, store));
  std::string type = oci::MediaTypeOf(bytes);
  if (!type.empty()) image.root.media_type = type;
  image.manifest = image.root;
  // An index may list an index; three levels are more than anybody makes.
  for (int depth = 0; oci::IsIndexType(image.manifest.media_type); ++depth) {
    if (depth == 3) return InvalidArgumentError(StrCat("too many nested indexes in ", ref));
    ASSIGN_OR_RETURN(oci::Index index, oci::ParseIndex(bytes));
    const Descriptor* chosen = oci::ChooseManifest(index, platform);
    if (chosen == nullptr && index.manifests.size() == 1 && !index.manifests[0].platform) {
      chosen = &index.manifests[0];
    }
    if (chosen == nullptr) {
      return NotFoundError("no match for platform in manifest: not found");
    }
    image.manifest = *chosen;
    ASSIGN_OR_RETURN(bytes, Fetch(*image.source, image.manifest, store));
  }
  ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
  ASSIGN_OR_RETURN(image.config, Fetch(*image.source, manifest.config, store));
  RETURN_IF_ERROR(SetLayers(manifest, image));
  return image;
}

std::string ManifestKey(const Digest& root, const Platform& platform, std::optional<int> limit) {
  GoJsonObject object;
  object.String("Digest", root.text());
  object.String("OS", platform.os);
  object.String("Arch", platform.architecture);
  object.OmitString("Variant", platform.variant);
  object.OmitString("OSVersion", platform.os_version);
  object.OmitArray("OSFeatures", platform.os_features);
  if (limit) object.Int("Limit", *limit);
  return Digest::Of(object.Finish()).text();
}

StatusOr<std::string> LayersKey(std::string_view config, std::optional<int> limit) {
  StatusOr<oci::Image> image = oci::ParseImage(config);
  if (!image.ok()) {
    if (limit) return Annotate(image.status(), "failed to parse image config");
    return Digest::Of(config).text();
  }
  std::vector<std::string> texts = image->diff_ids.value_or(std::vector<std::string>());
  if (limit) {
    if (static_cast<int>(texts.size()) < *limit) {
      return InvalidArgumentError(
          StrCat("image has ", texts.size(), " layers, limit is ", *limit));
    }
    texts.resize(static_cast<size_t>(*limit));
  }
  if (image->rootfs_type != "layers" || texts.empty()) return std::string();
  std::vector<DiffId> diff_ids;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(Digest digest, Digest::Parse(text));
    diff_ids.push_back(DiffId{digest});
  }
  return ChainId(diff_ids).text();
}

}  // namespace kiln::worker
