// Blobs first, then manifests, children before parents. See image_push.h.
#include "worker/exporter/image_push.h"

#include "base/strings.h"
#include "oci/reference.h"
#include "worker/exporter/image_commit.h"
#include "worker/exporter/image_layers.h"

namespace kiln::worker {
namespace {

using oci::Descriptor;

bool IsManifest(const Descriptor& blob) {
  return oci::IsManifestType(blob.media_type) || oci::IsIndexType(blob.media_type);
}

// Where the registry of `call` has the blob already; "" if nobody knows.
std::string PathInRegistry(ImageBlobs& blobs, const Descriptor& blob,
                           const oci::RegistryCall& call) {
  std::string repository = blobs.RepositoryOf(blob);
  const std::string registry = call.ref.domain + "/";
  if (!repository.starts_with(registry)) return "";
  return repository.substr(registry.size());
}

Status PushBlobs(oci::Registry& registry, const oci::RegistryCall& call,
                 const CommittedImage& image, const std::vector<Descriptor>& blobs) {
  for (const Descriptor& blob : blobs) {
    if (IsManifest(blob) || Contains(blob.media_type, "nondistributable") ||
        Contains(blob.media_type, ".foreign.")) {
      continue;
    }
    auto bytes = [&]() -> StatusOr<oci::ReadFn> {
      ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, image.blobs->Open(blob));
      return ReadBlobStream(std::move(reader));
    };
    RETURN_IF_ERROR(registry.PushBlob(call, blob, bytes, PathInRegistry(*image.blobs, blob, call)));
  }
  return OkStatus();
}

Status PushManifests(oci::Registry& registry, const oci::RegistryCall& call,
                     const CommittedImage& image, const std::vector<Descriptor>& blobs) {
  for (const Descriptor& blob : blobs) {
    if (!IsManifest(blob)) continue;
    ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(*image.blobs, blob));
    oci::RegistryCall own = call;
    if (blob.digest != image.descriptor.digest) own.ref.tag.clear();
    RETURN_IF_ERROR(registry.PushManifest(own, blob, bytes));
  }
  return OkStatus();
}

}  // namespace

PushFn NewRegistryPush(std::shared_ptr<oci::Registry> registry, PushAuthFn auth) {
  return [registry = std::move(registry), auth = std::move(auth)](
             const CommittedImage& image, const PushTarget& target,
             const ExportContext& context) -> Status {
    oci::RegistryCall call;
    ASSIGN_OR_RETURN(call.ref, oci::ParseReference(target.name));
    if (target.by_digest && !call.ref.name_only()) {
      return InvalidArgumentError(StrCat("can't push tagged ref ", call.ref.Text(), " by digest"));
    }
    std::string shown = call.ref.Name();
    if (!target.by_digest) {
      call.ref = oci::WithDefaultTag(call.ref);
      call.ref.digest = image.descriptor.digest;
      shown = call.ref.Text();
    }
    if (auth) call.auth = auth(context.session_id);
    call.insecure = target.insecure;
    call.stop = context.stop;
    ASSIGN_OR_RETURN(std::vector<Descriptor> blobs, BlobsOf(*image.blobs, image.descriptor));
    {
      ProgressLine line(context, "pushing layers");
      RETURN_IF_ERROR(PushBlobs(*registry, call, image, blobs));
    }
    ProgressLine line(context, StrCat("pushing manifest for ", shown));
    return PushManifests(*registry, call, image, blobs);
  };
}

}  // namespace kiln::worker
