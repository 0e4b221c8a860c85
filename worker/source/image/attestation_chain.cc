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
