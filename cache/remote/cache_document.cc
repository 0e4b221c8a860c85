#include "cache/remote/cache_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "oci/compress.h"
#include "oci/manifest.h"

namespace kiln::cache {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxDocument = 64 << 20;  // bytes; a hostile size must not fill memory
constexpr int kMaxDepth = 4;                 // indexes inside indexes

std::string Text(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

StatusOr<oci::Descriptor> ReadDescriptor(const Json& json) {
  if (!json.is_object()) return InvalidArgumentError("descriptor is not a JSON object");
  oci::Descriptor descriptor;
  descriptor.media_type = Text(json, "mediaType");
  ASSIGN_OR_RETURN(descriptor.digest, Digest::Parse(Text(json, "digest")));
  if (auto size = json.find("size"); size != json.end() && size->is_number_integer()) {
    descriptor.size = size->get<int64_t>();
  }
  if (auto notes = json.find("annotations"); notes != json.end() && notes->is_object()) {
    for (const auto& [key, value] : notes->items()) {
      if (value.is_string()) descriptor.annotations[key] = value.get<std::string>();
    }
  }
  return descriptor;
}

StatusOr<std::vector<oci::Descriptor>> ReadDescriptors(const Json& object, const char* key) {
  std::vector<oci::Descriptor> descriptors;
  auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return descriptors;
  for (const Json& entry : *found) {
    ASSIGN_OR_RETURN(oci::Descriptor descriptor, ReadDescriptor(entry));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

StatusOr<Json> ReadJson(BlobSource& source, const oci::Descriptor& blob) {
  ASSIGN_OR_RETURN(std::string bytes, ReadBlob(source, blob, kMaxDocument));
  if (Digest::Of(bytes) != blob.digest) {
    return DataLossError(StrCat("got EOF, expected ", blob.digest.text(), " (", blob.size,
                                " bytes), got ", Digest::Of(bytes).text(), " (", bytes.size(),
                                " bytes)"));
  }
  Json json = Json::parse(bytes, nullptr, false);
  if (!json.is_object()) {
    return InvalidArgumentError("unsupported or uninferrable manifest type");
  }
  return json;
}

// What the document is: its members decide, and what it says of itself must agree.
StatusOr<std::string> TypeOf(const Json& json) {
  bool manifest = json.contains("config") || json.contains("layers");
  if (manifest && json.contains("manifests")) {
    return InvalidArgumentError("invalid ambiguous manifest and manifest list");
  }
  std::string said = Text(json, "mediaType");
  if (manifest ? oci::IsIndexType(said) : oci::IsManifestType(said)) {
    return InvalidArgumentError("mediaType in manifest does not match manifest contents");
  }
  if (oci::IsIndexType(said) || oci::IsManifestType(said)) return said;
  return std::string(manifest ? oci::kDockerManifest : oci::kDockerIndex);
}

// Collects documents; one per manifest that is a cache or carries one.
class DocumentReader {
 public:
  DocumentReader(BlobSource& source, const std::function<void(std::string_view)>& root_type)
      : source_(source), root_type_(root_type) {}
  std::vector<CacheDocument> documents;

  Status Read(const oci::Descriptor& blob, int depth) {
    if (depth > kMaxDepth) return InvalidArgumentError("cache index nests too deep");
    ASSIGN_OR_RETURN(Json json, ReadJson(source_, blob));
    ASSIGN_OR_RETURN(std::string type, TypeOf(json));
    if (depth == 0 && root_type_) root_type_(type);
    return oci::IsManifestType(type) ? ReadManifest(json) : ReadIndex(json, depth);
  }

 private:
  Status ReadIndex(const Json& json, int depth) {
    ASSIGN_OR_RETURN(std::vector<oci::Descriptor> entries, ReadDescriptors(json, "manifests"));
    auto config = std::find_if(entries.begin(), entries.end(), [](const oci::Descriptor& entry) {
      return entry.media_type == kCacheConfigType;
    });
    if (config != entries.end()) return AddCache(*config, entries);
    for (const oci::Descriptor& entry : entries) {
      RETURN_IF_ERROR(Read(entry, depth + 1));
    }
    return OkStatus();
  }

  Status ReadManifest(const Json& json) {
    ASSIGN_OR_RETURN(std::vector<oci::Descriptor> layers, ReadDescriptors(json, "layers"));
    auto entry = json.find("config");
    if (entry == json.end()) return OkStatus();
    ASSIGN_OR_RETURN(oci::Descriptor config, ReadDescriptor(*entry));
    return config.media_type == kCacheConfigType ? AddCache(config, layers)
                                                 : AddInline(config, std::move(layers));
  }

  Status AddCache(const oci::Descriptor& config_blob, const std::vector<oci::Descriptor>& layers) {
    ASSIGN_OR_RETURN(std::string bytes, ReadBlob(source_, config_blob, kMaxDocument));
    if (Digest::Of(bytes) != config_blob.digest) {
      return DataLossError(StrCat("cache config is not ", config_blob.digest.text()));
    }
    CacheDocument document;
    ASSIGN_OR_RETURN(document.config, ParseCacheConfig(bytes));
    for (const oci::Descriptor& layer : layers) {
      if (layer.digest != config_blob.digest) document.layers[layer.digest] = layer;
    }
    documents.push_back(std::move(document));
    return OkStatus();
  }

  Status AddInline(const oci::Descriptor& config_blob, std::vector<oci::Descriptor> layers) {
    if (layers.empty()) return OkStatus();
    ASSIGN_OR_RETURN(Json image, ReadJson(source_, config_blob));
    std::string encoded = Text(image, "moby.buildkit.cache.v0");
    std::vector<std::string> diff_ids;
    if (auto rootfs = image.find("rootfs"); rootfs != image.end() && rootfs->is_object()) {
      for (const Json& id : rootfs->value("diff_ids", Json::array())) {
        if (id.is_string()) diff_ids.push_back(id.get<std::string>());
      }
    }
    // A config that does not fit its manifest is somebody else's image: no cache.
    if (encoded.empty() || diff_ids.size() != layers.size()) return OkStatus();
    std::string records;
    if (!Base64Decode(encoded, &records)) {
      return InvalidArgumentError("inline cache is not base64");
    }
    CacheDocument document;
    ASSIGN_OR_RETURN(document.config.records, ParseInlineRecords(records));
    AddHistory(image, &layers);
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].annotations[std::string(kUncompressedNote)] = diff_ids[i];
      document.config.layers.push_back({layers[i].digest, static_cast<int>(i) - 1, {}});
      document.layers[layers[i].digest] = layers[i];
    }
    RETURN_IF_ERROR(ValidateCacheConfig(document.config));
    documents.push_back(std::move(document));
    return OkStatus();
  }

  // Dates and commands of the layers, from those history entries that made one.
  static void AddHistory(const Json& image, std::vector<oci::Descriptor>* layers) {
    size_t layer = 0;
    auto history = image.find("history");
    if (history == image.end() || !history->is_array()) return;
    for (const Json& entry : *history) {
      if (!entry.is_object() || entry.value("empty_layer", Json(false)) == Json(true)) continue;
      if (layer == layers->size()) return;
      auto& notes = (*layers)[layer++].annotations;
      if (std::string created = Text(entry, "created"); !created.empty()) {
        notes[std::string(kCreatedNote)] = created;
      }
      if (std::string by = Text(entry, "created_by"); !by.empty()) {
        notes[std::string(kDescriptionNote)] = by;
      }
    }
  }

  BlobSource& source_;
  const std::function<void(std::string_view)>& root_type_;
};

// Annotations of a blob that say how it was packed; all others stay behind.
constexpr std::string_view kPackingNotes[] = {"containerd.io/snapshot/stargz/toc.digest",
                                              "io.containers.estargz.uncompressed-size",
                                              kUncompressedNote};

StatusOr<oci::Descriptor> PutJson(const PutBytes& put, CachePart part, const std::string& json,
                                  std::string_view media_type) {
  oci::Descriptor blob;
  blob.media_type = std::string(media_type);
  blob.digest = Digest::Of(json);
  blob.size = static_cast<int64_t>(json.size());
  RETURN_IF_ERROR(put(part, blob, json));
  return blob;
}

}  // namespace

StatusOr<std::vector<CacheDocument>> ReadCacheDocuments(
    BlobSource& source, const oci::Descriptor& root,
    const std::function<void(std::string_view)>& root_type) {
  DocumentReader reader(source, root_type);
  RETURN_IF_ERROR(reader.Read(root, 0));
  return std::move(reader.documents);
}

StatusOr<std::vector<oci::Descriptor>> ListedLayers(const CacheChains::Marshalled& cache,
                                                    bool oci_types) {
  std::vector<oci::Descriptor> layers;
  for (const CacheConfig::Layer& layer : cache.config.layers) {
    auto found = cache.blobs.find(layer.blob);
    if (found == cache.blobs.end()) {
      return InternalError(StrCat("missing blob ", layer.blob.text()));
    }
    const Layer& from = found->second.first;
    oci::Descriptor& blob = layers.emplace_back(from.blob);
    blob.media_type = oci::ConvertLayerMediaType(blob.media_type, oci_types);
    std::erase_if(blob.annotations, [](const auto& note) {
      return std::find(std::begin(kPackingNotes), std::end(kPackingNotes), note.first) ==
             std::end(kPackingNotes);
    });
    if (!from.diff_id.digest.empty()) {
      blob.annotations[std::string(kUncompressedNote)] = from.diff_id.digest.text();
    }
    if (from.created != Time{}) {
      blob.annotations[std::string(kCreatedNote)] = FormatRfc3339Nano(from.created);
    }
  }
  return layers;
}

StatusOr<oci::Descriptor> WriteCacheDocument(const CacheChains::Marshalled& cache,
                                             const WriteCacheOptions& options,
                                             const PutBytes& put) {
  if (options.image_manifest && !options.oci_types) {
    return UnknownError(
        "invalid configuration for remote cache, OCI mediatypes are required for image-manifest "
        "cache format");
  }
  ASSIGN_OR_RETURN(std::vector<oci::Descriptor> layers, ListedLayers(cache, options.oci_types));
  ASSIGN_OR_RETURN(oci::Descriptor config, PutJson(put, CachePart::kConfig,
                                                   FormatCacheConfig(cache.config),
                                                   kCacheConfigType));
  if (options.image_manifest) {
    oci::Manifest manifest{.media_type = std::string(oci::kOciManifest)};
    manifest.config = std::move(config);
    manifest.layers = std::move(layers);
    return PutJson(put, CachePart::kManifest, oci::ManifestJson(manifest), oci::kOciManifest);
  }
  std::string_view type = options.oci_types ? oci::kOciIndex : oci::kDockerIndex;
  oci::Index index{.media_type = std::string(type)};
  index.manifests = std::move(layers);
  index.manifests.push_back(std::move(config));
  return PutJson(put, CachePart::kManifest, oci::IndexJson(index), type);
}

}  // namespace kiln::cache
