// Manifests and indexes of exported images. Layers are image_layers.cc, configs
// image_config_patch.cc.
#include "worker/exporter/image_commit.h"

#include <set>

#include "base/go_json.h"
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "worker/exporter/attestation_manifest.h"
#include "worker/exporter/image_config_patch.h"
#include "worker/exporter/image_layers.h"

namespace kiln::worker {
namespace {

using oci::Descriptor;

Attrs WithoutInternal(const Attrs& annotations, bool oci_types) {
  Attrs kept;
  if (!oci_types) return kept;
  for (const auto& [key, value] : annotations) {
    bool internal = key == "containerd.io/uncompressed" || key == "buildkit/createdat" ||
                    key.starts_with("containerd.io/distribution.source.");
    if (!internal) kept[key] = value;
  }
  return kept;
}

// With errdefs.CompatibilityFeature{version = 1, feature = 2}; both are small.
Status UnsupportedFeature(int version, const std::string& feature) {
  Status status = UnknownError(
      StrCat("unsupported compatibility-version ", version, " feature ", feature));
  std::string bytes = {'\x08', static_cast<char>(version), '\x12',
                       static_cast<char>(feature.size())};
  status.AddDetail("github.com/moby/buildkit/errdefs.CompatibilityFeature+json", bytes + feature);
  return status;
}

// Commits one image or several under an index. One use.
class Commit {
 public:
  Commit(cache::RefStore& refs, const ExportSource& source, const ImageOptions& options,
         const ExportContext& context)
      : refs_(refs),
        source_(source),
        options_(options),
        context_(context),
        metadata_(options.metadata ? *options.metadata : source.metadata) {
    image_.hold = refs.content().Hold();
    image_.blobs = std::make_shared<ImageBlobs>(refs.content());
  }

  StatusOr<CommittedImage> Run(std::string_view exporter_type);

 private:
  Status Check(std::string_view exporter_type) const;
  Status Single(const std::vector<ExportPlatform>& platforms);
  Status Multiple(const std::vector<ExportPlatform>& platforms);
  StatusOr<std::optional<int64_t>> EpochOf(std::string_view platform_id) const;
  StatusOr<std::vector<ImageLayer>> LayersOf(const cache::Ref* ref, const std::string& base_config,
                                             std::optional<int64_t> epoch);
  Status PrepareInline(const std::vector<ExportPlatform>& platforms);
  bool WantsIndex(const std::vector<ExportPlatform>& platforms) const;
  StatusOr<std::optional<Descriptor>> Attest(const ExportPlatform& platform,
                                             const Descriptor& image,
                                             const std::vector<ImageLayer>& layers);
  StatusOr<Descriptor> WriteManifest(const cache::Ref* ref, const std::string& id,
                                     const std::vector<ImageLayer>& layers,
                                     const Annotations& annotations,
                                     std::optional<int64_t> epoch);
  StatusOr<std::string> ConfigOf(const cache::Ref* ref, const std::string& id,
                                 const std::vector<ImageLayer>& layers,
                                 std::optional<int64_t> epoch) const;
  StatusOr<Descriptor> Write(std::string_view bytes, std::string_view type,
                             std::string_view line);

  cache::RefStore& refs_;
  const ExportSource& source_;
  const ImageOptions& options_;
  const ExportContext& context_;
  const Attrs& metadata_;
  std::map<std::string, std::string> inline_caches_;  // by platform id
  CommittedImage image_;
};

Status Commit::Check(std::string_view exporter_type) const {
  int version = context_.compatibility_version;
  if (version == 10 && options_.compression.type == oci::Compression::kZstd) {
    return UnsupportedFeature(version, StrCat(exporter_type, " exporter compression=zstd"));
  }
  if (!source_.refs.empty() && !metadata_.contains("refs.platforms")) {
    return UnknownError("unable to export multiple refs, missing platforms mapping");
  }
  for (const auto& [platform, part] : options_.annotations) {
    bool found = true;
    if (!platform.empty()) FindRef(source_, platform, &found);
    if (!found) {
      return UnknownError(
          StrCat("invalid annotation: no platform ", platform, " found in source"));
    }
    bool oci_only = !part.index.empty() || !part.index_descriptor.empty() ||
                    !part.manifest_descriptor.empty();
    if (oci_only && !*options_.oci_types) {
      return UnknownError("cannot export annotations with \"oci-mediatypes=false\"");
    }
  }
  return OkStatus();
}

StatusOr<CommittedImage> Commit::Run(std::string_view exporter_type) {
  RETURN_IF_ERROR(Check(exporter_type));
  ASSIGN_OR_RETURN(std::vector<ExportPlatform> platforms, ParsePlatforms(metadata_));
  RETURN_IF_ERROR(WantsIndex(platforms) ? Multiple(platforms) : Single(platforms));
  return std::move(image_);
}

// Attestations need a place beside the image.
bool Commit::WantsIndex(const std::vector<ExportPlatform>& platforms) const {
  if (!source_.refs.empty()) return true;
  for (const ExportPlatform& platform : platforms) {
    auto attestations = source_.attestations.find(platform.id);
    if (attestations == source_.attestations.end()) continue;
    for (const ExportAttestation& attestation : attestations->second) {
      if (options_.force_inline_attestations || !InlineOnly(attestation)) return true;
    }
  }
  return false;
}

StatusOr<std::optional<Descriptor>> Commit::Attest(const ExportPlatform& platform,
                                                   const Descriptor& image,
                                                   const std::vector<ImageLayer>& layers) {
  auto found = source_.attestations.find(platform.id);
  if (found == source_.attestations.end()) return std::optional<Descriptor>();
  std::vector<const ExportAttestation*> attestations;
  for (const ExportAttestation& attestation : found->second) attestations.push_back(&attestation);
  ASSIGN_OR_RETURN(auto attested, Unbundle(attestations, refs_.temp_dir(), context_.stop));
  bool has_ref = false;
  const cache::Ref* ref = FindRef(source_, platform.id, &has_ref);
  for (AttestedPredicate& one : attested) {
    if (ref == nullptr) break;  // what was scanned has no files
    RETURN_IF_ERROR(SupplementSbom(*image_.blobs, layers, &one));
  }
  ASSIGN_OR_RETURN(Descriptor written,
                   WriteAttestationManifest(refs_.content(), attested,
                                            {.target = image,
                                             .names = options_.name,
                                             .oci_types = *options_.oci_types,
                                             .artifact = options_.oci_artifact.value_or(false)}));
  ProgressLine line(context_, StrCat("exporting attestation manifest ", written.digest.text()));
  return std::optional<Descriptor>(std::move(written));
}

StatusOr<std::optional<int64_t>> Commit::EpochOf(std::string_view platform_id) const {
  if (options_.epoch) return *options_.epoch;
  return SourceEpoch(metadata_, platform_id);
}

StatusOr<std::vector<ImageLayer>> Commit::LayersOf(const cache::Ref* ref,
                                                   const std::string& base_config,
                                                   std::optional<int64_t> epoch) {
  std::vector<ImageLayer> layers;
  if (ref != nullptr) {
    ASSIGN_OR_RETURN(layers, ExportLayers(*ref, options_.compression, context_.stop));
    if (!options_.prefer_nondistributable) MakeDistributable(layers);
  }
  if (options_.rewrite_timestamp && epoch) {
    std::vector<std::string> base;
    if (!base_config.empty()) {
      ASSIGN_OR_RETURN(oci::Image image, oci::ParseImage(base_config));
      base = image.diff_ids.value_or(std::vector<std::string>());
    }
    ProgressLine line(context_, RewriteText(*epoch));
    RETURN_IF_ERROR(RewriteLayers(refs_.content(), options_.compression, *epoch, base, layers));
  }
  for (const ImageLayer& layer : layers) image_.blobs->Add(layer.blob.digest, layer.source);
  return layers;
}

Status Commit::Single(const std::vector<ExportPlatform>& platforms) {
  if (platforms.size() > 1) {
    return UnknownError("cannot export multiple platforms without multi-platform enabled");
  }
  const ExportPlatform& platform = platforms.front();
  bool found = false;
  const cache::Ref* ref = FindRef(source_, platform.id, &found);
  ASSIGN_OR_RETURN(std::optional<int64_t> epoch, EpochOf(platform.id));
  std::string base = PlatformValue(metadata_, "containerimage.base.config", platform.id);
  std::vector<ImageLayer> layers;
  {
    ProgressLine line(context_, "exporting layers");
    ASSIGN_OR_RETURN(layers, LayersOf(ref, base, epoch));
  }
  RETURN_IF_ERROR(PrepareInline(platforms));
  Annotations annotations = AnnotationsFor(options_.annotations, nullptr);
  if (!annotations.index.empty() || !annotations.index_descriptor.empty()) {
    return UnknownError("index annotations not supported for single platform export");
  }
  ASSIGN_OR_RETURN(image_.descriptor, WriteManifest(ref, platform.id, layers, annotations, epoch));
  image_.descriptor.platform = platform.platform;
  return OkStatus();
}

Status Commit::Multiple(const std::vector<ExportPlatform>& platforms) {
  if (!*options_.oci_types && !source_.attestations.empty()) {
    return UnknownError("cannot export attestations with \"oci-mediatypes=false\"");
  }
  std::vector<std::vector<ImageLayer>> layers;
  {
    ProgressLine line(context_, "exporting layers");
    for (const ExportPlatform& platform : platforms) {
      bool found = false;
      const cache::Ref* ref = FindRef(source_, platform.id, &found);
      if (!found && !source_.refs.empty()) {
        return UnknownError(StrCat("failed to find ref for ID ", platform.id));
      }
      ASSIGN_OR_RETURN(std::optional<int64_t> epoch, EpochOf(platform.id));
      std::string base = PlatformValue(metadata_, "containerimage.base.config", platform.id);
      ASSIGN_OR_RETURN(auto own, LayersOf(ref, base, epoch));
      layers.push_back(std::move(own));
    }
  }
  RETURN_IF_ERROR(PrepareInline(platforms));
  Annotations shared = AnnotationsFor(options_.annotations, nullptr);
  oci::Index index{.media_type = std::string(*options_.oci_types ? oci::kOciIndex
                                                                 : oci::kDockerIndex)};
  index.annotations = shared.index;
  std::vector<Descriptor> attestations;  // come after all images
  for (size_t i = 0; i < platforms.size(); ++i) {
    bool found = false;
    const cache::Ref* ref = FindRef(source_, platforms[i].id, &found);
    ASSIGN_OR_RETURN(std::optional<int64_t> epoch, EpochOf(platforms[i].id));
    Annotations own = AnnotationsFor(options_.annotations, &platforms[i].platform);
    ASSIGN_OR_RETURN(Descriptor manifest,
                     WriteManifest(ref, platforms[i].id, layers[i], own, epoch));
    manifest.platform = platforms[i].platform;
    ASSIGN_OR_RETURN(std::optional<Descriptor> attested, Attest(platforms[i], manifest, layers[i]));
    if (attested) attestations.push_back(*std::move(attested));
    index.manifests.push_back(std::move(manifest));
  }
  index.manifests.insert(index.manifests.end(), attestations.begin(), attestations.end());
  ASSIGN_OR_RETURN(image_.descriptor, Write(GoJsonIndent(oci::IndexJson(index)), index.media_type,
                                            "exporting manifest list "));
  image_.descriptor.annotations = shared.index_descriptor;
  image_.config_digest = Digest();
  return OkStatus();
}

Status Commit::PrepareInline(const std::vector<ExportPlatform>& platforms) {
  if (!context_.inline_cache) return OkStatus();
  ProgressLine line(context_, "preparing layers for inline cache");
  for (const ExportPlatform& platform : platforms) {
    ASSIGN_OR_RETURN(inline_caches_[platform.id], context_.inline_cache(platform.id));
  }
  return OkStatus();
}

StatusOr<std::string> Commit::ConfigOf(const cache::Ref* ref, const std::string& id,
                                       const std::vector<ImageLayer>& layers,
                                       std::optional<int64_t> epoch) const {
  ConfigPatch patch;
  for (const ImageLayer& layer : layers) patch.layers.push_back({layer.diff_id.digest.text()});
  if (ref != nullptr) {
    for (const cache::Ref& record : ref->LayerChain()) {
      patch.chain.push_back({"", record.description(), record.created()});
    }
  }
  patch.epoch = epoch;
  patch.base_config = PlatformValue(metadata_, "containerimage.base.config", id);
  if (auto cache = inline_caches_.find(id); cache != inline_caches_.end()) {
    patch.inline_cache = cache->second;
  }
  return PatchImageConfig(PlatformValue(metadata_, "containerimage.config", id), patch);
}

StatusOr<Descriptor> Commit::Write(std::string_view bytes, std::string_view type,
                                   std::string_view line) {
  ProgressLine progress(context_, StrCat(line, Digest::Of(bytes).text()));
  return cache::WriteBlob(refs_.content(), bytes, type);
}

StatusOr<Descriptor> Commit::WriteManifest(const cache::Ref* ref, const std::string& id,
                                           const std::vector<ImageLayer>& layers,
                                           const Annotations& annotations,
                                           std::optional<int64_t> epoch) {
  bool oci_types = *options_.oci_types;
  ASSIGN_OR_RETURN(std::string config, ConfigOf(ref, id, layers, epoch));
  oci::Manifest manifest{
      .media_type = std::string(oci_types ? oci::kOciManifest : oci::kDockerManifest)};
  manifest.annotations = annotations.manifest;
  manifest.config.media_type = oci_types ? oci::kOciConfig : oci::kDockerConfig;
  manifest.config.digest = Digest::Of(config);
  manifest.config.size = static_cast<int64_t>(config.size());
  for (const ImageLayer& layer : layers) {
    Descriptor blob = layer.blob;
    blob.media_type = oci::ConvertLayerMediaType(blob.media_type, oci_types);
    blob.annotations = WithoutInternal(blob.annotations, oci_types);
    manifest.layers.push_back(std::move(blob));
  }
  ASSIGN_OR_RETURN(Descriptor written, Write(GoJsonIndent(oci::ManifestJson(manifest)),
                                             manifest.media_type, "exporting manifest "));
  RETURN_IF_ERROR(Write(config, manifest.config.media_type, "exporting config "));
  written.annotations = annotations.manifest_descriptor;
  image_.config_digest = manifest.config.digest;
  return written;
}

}  // namespace

StatusOr<std::unique_ptr<cache::BlobReader>> ImageBlobs::Open(const Descriptor& blob) {
  StatusOr<std::unique_ptr<cache::BlobReader>> own = store_.Open(blob.digest);
  if (own.ok() || !IsNotFound(own.status())) return own;
  auto other = sources_.find(blob.digest);
  if (other == sources_.end()) return own;
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, other->second->Open(blob));
  if (!keep_) return reader;
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobWriter> writer, store_.NewWriter());
  oci::ReadFn read = ReadBlobStream(std::move(reader));
  std::string buffer(1 << 20, '\0');
  for (;;) {
    ASSIGN_OR_RETURN(size_t count, read(buffer));
    if (count == 0) break;
    RETURN_IF_ERROR(writer->Append(std::string_view(buffer).substr(0, count)));
  }
  RETURN_IF_ERROR(writer->Commit(blob).status());
  return store_.Open(blob.digest);
}

std::string ImageBlobs::RepositoryOf(const Descriptor& blob) {
  auto source = sources_.find(blob.digest);
  return source == sources_.end() ? "" : cache::RepositoryOf(*source->second, blob);
}

ProgressLine::ProgressLine(const ExportContext& context, std::string text) {
  if (context.progress != nullptr) {
    line_ = std::make_unique<solver::StatusLine>(*context.progress, std::move(text));
  }
}
ProgressLine::~ProgressLine() = default;

StatusOr<CommittedImage> CommitImage(cache::RefStore& refs, const ExportSource& source,
                                     const ImageOptions& options, const ExportContext& context,
                                     std::string_view exporter_type) {
  return Commit(refs, source, options, context).Run(exporter_type);
}

StatusOr<std::vector<Descriptor>> BlobsOf(cache::BlobSource& blobs, const Descriptor& root) {
  std::vector<Descriptor> found;
  std::set<Digest> seen;
  std::function<Status(const Descriptor&)> visit = [&](const Descriptor& blob) -> Status {
    if (!seen.insert(blob.digest).second) return OkStatus();
    if (oci::IsManifestType(blob.media_type)) {
      ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(blobs, blob));
      ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
      RETURN_IF_ERROR(visit(manifest.config));
      for (const Descriptor& layer : manifest.layers) RETURN_IF_ERROR(visit(layer));
    } else if (oci::IsIndexType(blob.media_type)) {
      ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(blobs, blob));
      ASSIGN_OR_RETURN(oci::Index index, oci::ParseIndex(bytes));
      for (const Descriptor& manifest : index.manifests) RETURN_IF_ERROR(visit(manifest));
    }
    found.push_back(blob);
    return OkStatus();
  };
  RETURN_IF_ERROR(visit(root));
  return found;
}

}  // namespace kiln::worker
