#include "cache/remote/cache_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

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

// Collects documents; one per manifest that is a cache or carries one.
class DocumentReader {
 public:
  explicit DocumentReader(BlobSource& source) : source_(source) {}
  std::vector<CacheDocument> documents;

  Status Read(const oci::Descriptor& blob, int depth) {
    if (depth > kMaxDepth) return InvalidArgumentError("cache index nests too deep");
    ASSIGN_OR_RETURN(Json json, ReadJson(source_, blob));
    if (json.contains("manifests")) return ReadIndex(json, depth);
    if (json.contains("layers") || json.contains("config")) return ReadManifest(json);
    return InvalidArgumentError("unsupported or uninferrable manifest type");
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
};

Json WriteDescriptor(const oci::Descriptor& descriptor) {
  Json json = {{"mediaType", descriptor.media_type},
               {"digest", descriptor.digest.text()},
               {"size", descriptor.size}};
  for (const auto& [key, value] : descriptor.annotations) json["annotations"][key] = value;
  return json;
}

// A layer's media type in the other family of names.
std::string ConvertType(const std::string& type, bool oci_types) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {oci::kOciLayer, oci::kDockerLayer},
      {oci::kOciLayerGzip, oci::kDockerLayerGzip},
      {oci::kOciLayerZstd, oci::kDockerLayerZstd}};
  for (const auto& [oci_name, docker_name] : kPairs) {
    if (type == oci_name || type == docker_name) {
      return std::string(oci_types ? oci_name : docker_name);
    }
  }
  return type;
}

StatusOr<oci::Descriptor> PutJson(const PutBytes& put, const std::string& json,
                                  std::string_view media_type) {
  oci::Descriptor blob;
  blob.media_type = std::string(media_type);
  blob.digest = Digest::Of(json);
  blob.size = static_cast<int64_t>(json.size());
  RETURN_IF_ERROR(put(blob, json));
  return blob;
}

std::vector<Digest> BlobsOf(const CacheConfig& config, int top) {
  std::vector<Digest> blobs;
  for (int i = top; i != -1; i = config.layers[static_cast<size_t>(i)].parent) {
    blobs.push_back(config.layers[static_cast<size_t>(i)].blob);
  }
  std::reverse(blobs.begin(), blobs.end());
  return blobs;
}

}  // namespace

StatusOr<std::vector<CacheDocument>> ReadCacheDocuments(BlobSource& source,
                                                        const oci::Descriptor& root) {
  DocumentReader reader(source);
  RETURN_IF_ERROR(reader.Read(root, 0));
  return std::move(reader.documents);
}

StatusOr<oci::Descriptor> WriteCacheDocument(const CacheChains::Marshalled& cache,
                                             const WriteCacheOptions& options,
                                             const PutBytes& put) {
  if (options.image_manifest && !options.oci_types) {
    return InvalidArgumentError(
        "invalid configuration for remote cache, OCI mediatypes are required for image-manifest "
        "cache format");
  }
  ASSIGN_OR_RETURN(oci::Descriptor config,
                   PutJson(put, FormatCacheConfig(cache.config), kCacheConfigType));
  Json layers = Json::array();
  for (const CacheConfig::Layer& layer : cache.config.layers) {
    auto found = cache.blobs.find(layer.blob);
    if (found == cache.blobs.end()) {
      return InternalError(StrCat("missing blob ", layer.blob.text()));
    }
    oci::Descriptor blob = found->second.first.blob;
    blob.media_type = ConvertType(blob.media_type, options.oci_types);
    layers.push_back(WriteDescriptor(blob));
  }
  std::string_view type = options.image_manifest ? oci::kOciManifest
                          : options.oci_types    ? oci::kOciIndex
                                                 : oci::kDockerIndex;
  Json manifest = {{"schemaVersion", 2}, {"mediaType", type}};
  if (options.image_manifest) {
    manifest["config"] = WriteDescriptor(config);
    manifest["layers"] = std::move(layers);
  } else {
    layers.push_back(WriteDescriptor(config));
    manifest["manifests"] = std::move(layers);
  }
  return PutJson(put, manifest.dump(), type);
}

StatusOr<std::string> InlineRecords(const CacheChains::Marshalled& cache,
                                    const std::vector<Digest>& layers) {
  auto place = [&](const Digest& blob) {
    return std::find(layers.begin(), layers.end(), blob) - layers.begin();
  };
  std::vector<CacheConfig::Record> records = cache.config.records;
  bool any = false;
  for (CacheConfig::Record& record : records) {
    std::vector<CacheConfig::Result> in_order;
    for (const CacheConfig::Result& result : record.results) {
      std::vector<Digest> blobs = BlobsOf(cache.config, result.layer);
      CacheConfig::Chain chain{{}, {}};
      bool whole = true;
      bool ordered = blobs.size() <= layers.size();
      for (size_t i = 0; i < blobs.size(); ++i) {
        auto index = place(blobs[i]);
        whole &= static_cast<size_t>(index) < layers.size();
        ordered &= ordered && layers[i] == blobs[i];
        chain.layers.push_back(static_cast<int>(index));
      }
      if (!whole) continue;
      any = true;
      if (ordered) {
        in_order.push_back({static_cast<int>(blobs.size()) - 1, result.created});
      } else {
        record.chains.push_back(std::move(chain));
      }
    }
    record.results = std::move(in_order);
  }
  return any ? FormatInlineRecords(records) : std::string();
}

}  // namespace kiln::cache
