// See attestation_manifest.h.
#include "worker/exporter/attestation_manifest.h"

#include <map>
#include <optional>

#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "oci/manifest.h"
#include "oci/purl.h"
#include "oci/tar.h"
#include "worker/exporter/spdx.h"

namespace kiln::worker {
namespace {

using oci::Descriptor;

constexpr std::string_view kStatementType = "application/vnd.in-toto+json";
constexpr std::string_view kArtifactType =
    "application/vnd.docker.attestation.manifest.v1+json";
constexpr std::string_view kEmptyType = "application/vnd.oci.empty.v1+json";
constexpr std::string_view kEmptyConfig = "{}";
// Under this name the reference is known to what reads SBOMs.
constexpr std::string_view kToolName = "buildkit-" KILN_COMPAT_VERSION;

const Platform kUnknown{"unknown", "unknown", "", "", {}};

// For readers that take every manifest for an image.
std::string ConfigOf(const std::vector<Descriptor>& statements) {
  std::vector<std::string> diff_ids;
  for (const Descriptor& statement : statements) diff_ids.push_back(statement.digest.text());
  GoJsonObject rootfs, image;
  rootfs.String("type", "layers");
  rootfs.Raw("diff_ids", GoJsonArray(diff_ids));
  image.String("architecture", kUnknown.architecture);
  image.String("os", kUnknown.os);
  image.Raw("config", "{}");
  image.Raw("rootfs", rootfs.Finish());
  return image.Finish();
}

StatusOr<std::vector<StatementSubject>> SubjectsOf(const AttestationManifestOptions& options) {
  std::vector<StatementSubject> subjects;
  for (std::string_view name : StrSplit(options.names, ',')) {
    if (name.empty()) continue;
    ASSIGN_OR_RETURN(std::string url,
                     oci::PackageUrl("docker", name, options.target.platform));
    const Digest& digest = options.target.digest;
    subjects.push_back({std::move(url), {{std::string(digest.algorithm()),
                                          std::string(digest.hex())}}});
  }
  return subjects;
}

// Finds the topmost layer that brought a file; reads each layer once, when needed.
class FileLayers {
 public:
  FileLayers(cache::BlobSource& blobs, const std::vector<ImageLayer>& layers)
      : blobs_(blobs), layers_(layers), pending_(layers.size()) {}

  StatusOr<std::optional<std::string>> Find(const std::string& name) {
    std::string path = CleanPath(StrCat("/", name));
    while (!found_.contains(path) && pending_ > 0) RETURN_IF_ERROR(Read(layers_[--pending_]));
    auto layer = found_.find(path);
    if (layer == found_.end()) return std::optional<std::string>();
    return std::optional<std::string>(layer->second);
  }

 private:
  Status Read(const ImageLayer& layer) {
    ASSIGN_OR_RETURN(std::shared_ptr<cache::BlobReader> reader, blobs_.Open(layer.blob));
    oci::TarReader tar(oci::Decompress(ReadBlobStream(std::move(reader))));
    while (true) {
      ASSIGN_OR_RETURN(std::optional<oci::TarHeader> entry, tar.Next());
      if (!entry) return OkStatus();
      std::string path = CleanPath(StrCat("/", entry->name));
      // A file that is gone again belongs to the layer that brought it.
      if (BaseName(path).starts_with(".wh.")) continue;
      found_.try_emplace(path, layer.blob.digest.text());
    }
  }

  cache::BlobSource& blobs_;
  const std::vector<ImageLayer>& layers_;
  size_t pending_;
  std::map<std::string, std::string> found_;
};

}  // namespace

Status SupplementSbom(cache::BlobSource& blobs, const std::vector<ImageLayer>& layers,
                      AttestedPredicate* attested) {
  auto core = attested->metadata.find("sbom-core");
  std::string name = BaseName(attested->path);
  if (attested->predicate_type != kSpdxPredicate || core == attested->metadata.end() ||
      name.substr(0, name.find('.')) != core->second) {
    return OkStatus();
  }
  FileLayers files(blobs, layers);
  ASSIGN_OR_RETURN(auto document,
                   SupplementSpdx(attested->predicate, kToolName,
                                  [&](const std::string& path) { return files.Find(path); }));
  if (document) attested->predicate = *std::move(document);
  return OkStatus();
}

StatusOr<Descriptor> WriteAttestationManifest(cache::ContentStore& store,
                                              const std::vector<AttestedPredicate>& attested,
                                              const AttestationManifestOptions& options) {
  ASSIGN_OR_RETURN(std::vector<StatementSubject> subjects, SubjectsOf(options));
  oci::Manifest manifest{.media_type = std::string(options.oci_types ? oci::kOciManifest
                                                                     : oci::kDockerManifest)};
  for (const AttestedPredicate& one : attested) {
    ASSIGN_OR_RETURN(std::string statement, StatementJson(one, subjects));
    ASSIGN_OR_RETURN(Descriptor blob, cache::WriteBlob(store, statement, kStatementType));
    if (options.oci_types) blob.annotations["in-toto.io/predicate-type"] = one.predicate_type;
    manifest.layers.push_back(std::move(blob));
  }
  std::string config = options.artifact ? std::string(kEmptyConfig) : ConfigOf(manifest.layers);
  std::string_view config_type = options.oci_types ? oci::kOciConfig : oci::kDockerConfig;
  if (options.artifact) config_type = kEmptyType;
  ASSIGN_OR_RETURN(manifest.config, cache::WriteBlob(store, config, config_type));
  if (options.artifact) {
    manifest.config.data = config;
    manifest.artifact_type = kArtifactType;
    manifest.subject = Descriptor{.media_type = options.target.media_type,
                                  .digest = options.target.digest,
                                  .size = options.target.size};
  }
  ASSIGN_OR_RETURN(Descriptor written,
                   cache::WriteBlob(store, GoJsonIndent(oci::ManifestJson(manifest)),
                                    manifest.media_type));
  written.annotations = {{"vnd.docker.reference.digest", options.target.digest.text()},
                         {"vnd.docker.reference.type", "attestation-manifest"}};
  written.platform = kUnknown;
  return written;
}

}  // namespace kiln::worker
