#include "api/containerd/containerd_origin.h"

#include <atomic>

#include "base/strings.h"
#include "cache/content/blob_place.h"
#include "oci/reference.h"

namespace kiln::api {
namespace {

constexpr size_t kChunk = 1 << 20;

using ReaderOr = StatusOr<std::unique_ptr<cache::BlobReader>>;

// One place, then the other.
class TwoPlaces : public cache::BlobSource, public cache::BlobPlace {
 public:
  TwoPlaces(std::shared_ptr<ContainerdImages> images, std::shared_ptr<cache::BlobSource> registry,
            bool local)
      : images_(std::move(images)), registry_(std::move(registry)), local_(local) {}

  ReaderOr Open(const oci::Descriptor& blob) override {
    ReaderOr first = local_ ? images_->Open(blob.digest) : registry_->Open(blob);
    if (first.ok()) return first;
    ReaderOr second = local_ ? registry_->Open(blob) : images_->Open(blob.digest);
    return second.ok() ? std::move(second) : std::move(first);
  }
  std::string RepositoryOf(const oci::Descriptor& blob) override {
    return local_ ? "" : cache::RepositoryOf(*registry_, blob);
  }

 private:
  std::shared_ptr<ContainerdImages> images_;
  std::shared_ptr<cache::BlobSource> registry_;
  bool local_;
};

class StoredOrigin : public worker::ImageOrigin {
 public:
  StoredOrigin(std::shared_ptr<worker::ImageOrigin> registry,
               std::shared_ptr<ContainerdImages> images, bool local_first)
      : registry_(std::move(registry)), images_(std::move(images)), local_first_(local_first) {}

  StatusOr<oci::Descriptor> Resolve(const std::string& ref) override {
    if (local_first_) {
      StatusOr<oci::Descriptor> found = Find(ref);
      if (found.ok()) return found;
    }
    StatusOr<oci::Descriptor> remote = registry_->Resolve(ref);
    if (remote.ok() || local_first_) return remote;
    StatusOr<oci::Descriptor> found = Find(ref);
    return found.ok() ? std::move(found) : std::move(remote);
  }

  std::shared_ptr<cache::BlobSource> Blobs(const std::string& ref) override {
    return std::make_shared<TwoPlaces>(images_, registry_->Blobs(ref), local_.load());
  }

  Status ReadBlob(const std::string& ref, const Digest& digest,
                  const std::function<Status(std::string_view)>& sink) override {
    ReaderOr reader = NotFoundError("");
    if (local_) reader = images_->Open(digest);
    if (!reader.ok()) return registry_->ReadBlob(ref, digest, sink);
    std::string buffer(kChunk, '\0');
    std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    for (uint64_t offset = 0;;) {
      ASSIGN_OR_RETURN(size_t count, (*reader)->ReadAt(offset, room));
      if (count == 0) return OkStatus();
      RETURN_IF_ERROR(sink(std::string_view(buffer).substr(0, count)));
      offset += count;
    }
  }

 private:
  StatusOr<oci::Descriptor> Find(const std::string& ref) {
    ASSIGN_OR_RETURN(oci::Reference parsed, oci::ParseReference(ref));
    oci::Reference name = parsed;
    name.digest = Digest();
    ASSIGN_OR_RETURN(oci::Descriptor found, images_->Find(oci::WithDefaultTag(name).Text()));
    if (!parsed.digest.empty() && parsed.digest != found.digest) return NotFoundError(ref);
    local_ = true;
    return found;
  }

  std::shared_ptr<worker::ImageOrigin> registry_;
  std::shared_ptr<ContainerdImages> images_;
  bool local_first_;
  std::atomic<bool> local_ = false;  // what was resolved last is containerd's
};

}  // namespace

worker::RegistryOriginFn WithContainerdImages(worker::RegistryOriginFn registries,
                                              std::shared_ptr<ContainerdImages> images) {
  return [registries = std::move(registries), images = std::move(images)](
             const worker::ImageQuery& query) -> std::shared_ptr<worker::ImageOrigin> {
    std::shared_ptr<worker::ImageOrigin> registry = registries(query);
    if (query.resolve_mode == "pull") return registry;
    return std::make_shared<StoredOrigin>(std::move(registry), images,
                                          query.resolve_mode == "local");
  };
}

}  // namespace kiln::api
