// See attestation_chain.h.
#include "worker/source/image/attestation_chain.h"

#include <algorithm>

#include "base/strings.h"
#include "oci/manifest.h"

namespace kiln::worker {
namespace {

using oci::AttestationChain;
using oci::Descriptor;

constexpr const char* kReferenceType = "vnd.docker.reference.type";
constexpr const char* kReferenceDigest = "vnd.docker.reference.digest";
constexpr const char* kPredicate = "in-toto.io/predicate-type";
constexpr const char* kBundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
constexpr const char* kCosign = "application/vnd.dev.cosign.artifact.sig.v1+json";

std::string NoteOf(const Descriptor& blob, const char* key) {
  auto note = blob.annotations.find(key);
  return note == blob.annotations.end() ? "" : note->second;
}

StatusOr<std::string> AddBlob(cache::BlobSource& source, const Descriptor& blob,
                              AttestationChain* chain) {
  StatusOr<std::string> bytes = cache::ReadBlob(source, blob);
  if (!bytes.ok()) return Annotate(bytes.status(), StrCat("reading blob ", blob.digest.text()));
  if (blob.digest.algorithm() == "sha256" && Digest::Of(*bytes) != blob.digest) {
    return DataLossError(StrCat("digest mismatch for blob ", blob.digest.text()));
  }
  chain->blobs[blob.digest.text()] = {blob, *bytes};
  return bytes;
}

// One signature of the attestation: a bundle before one in cosign's own form.
Status AddSignature(ImageOrigin& origin, const std::string& ref, cache::BlobSource& source,
                    AttestationChain* chain) {
  StatusOr<std::vector<Descriptor>> all = origin.Referrers(ref, chain->attestation_manifest);
  if (!all.ok()) {
    return Annotate(all.status(), StrCat("fetching referrers for attestation manifest ",
                                         chain->attestation_manifest.text()));
  }
  const Descriptor* found = nullptr;
  for (const char* type : {kBundle, kCosign}) {
    auto of_type = [&](const Descriptor& one) { return one.artifact_type == type; };
    auto one = std::find_if(all->begin(), all->end(), of_type);
    if (found == nullptr && one != all->end()) found = &*one;
  }
  if (found == nullptr) return OkStatus();
  chain->signature_manifest = found->digest;
  ASSIGN_OR_RETURN(std::string bytes, AddBlob(source, *found, chain));
  ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
  for (const Descriptor& layer : manifest.layers) {
    RETURN_IF_ERROR(AddBlob(source, layer, chain).status());
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::optional<AttestationChain>> FindAttestations(
    ImageOrigin& origin, const std::string& ref, const Platform& platform,
    const std::vector<std::string>& predicates) {
  ASSIGN_OR_RETURN(Descriptor root, origin.Resolve(ref));
  if (root.media_type != oci::kOciIndex) return std::optional<AttestationChain>();
  std::shared_ptr<cache::BlobSource> source = origin.Blobs(ref);
  AttestationChain chain;
  chain.root = root.digest;
  ASSIGN_OR_RETURN(std::string bytes, AddBlob(*source, root, &chain));
  ASSIGN_OR_RETURN(oci::Index index, oci::ParseIndex(bytes));
  const Descriptor* image = oci::ChooseManifest(index, platform);
  if (image == nullptr) {
    return NotFoundError(StrCat("resolving image manifest for platform ",
                                FormatPlatformAll(platform), ": no manifest for platform ",
                                FormatPlatformAll(platform), ": not found"));
  }
  chain.image_manifest = image->digest;
  auto attests = [&](const Descriptor& manifest) {
    return NoteOf(manifest, kReferenceType) == "attestation-manifest" &&
           NoteOf(manifest, kReferenceDigest) == image->digest.text();
  };
  auto attestation = std::find_if(index.manifests.begin(), index.manifests.end(), attests);
  if (attestation == index.manifests.end()) return std::optional(std::move(chain));
  chain.attestation_manifest = attestation->digest;
  ASSIGN_OR_RETURN(bytes, AddBlob(*source, *attestation, &chain));
  RETURN_IF_ERROR(AddSignature(origin, ref, *source, &chain));
  if (predicates.empty()) return std::optional(std::move(chain));
  ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
  for (const Descriptor& statement : manifest.layers) {
    std::string type = NoteOf(statement, kPredicate);
    bool wanted = !type.empty() &&
                  std::find(predicates.begin(), predicates.end(), type) != predicates.end();
    if (wanted) RETURN_IF_ERROR(AddBlob(*source, statement, &chain).status());
  }
  return std::optional(std::move(chain));
}

}  // namespace kiln::worker
