// Layers stay in the registry until somebody reads them. See registry_cache.h.
#include "worker/remotecache/registry_cache.h"

#include "oci/stream.h"
#include "worker/exporter/image_layers.h"
#include "worker/remotecache/document_export.h"
#include "worker/source/image/registry_origin.h"

namespace kiln::worker {
namespace {

StatusOr<oci::RegistryCall> CallFor(const CacheAttrs& attrs) {
  oci::RegistryCall call;
  std::string ref = CacheAttr(attrs, "ref");
  if (ref.empty()) return UnknownError("missing ref");
  ASSIGN_OR_RETURN(oci::Reference parsed, oci::ParseReference(ref));
  call.ref = oci::WithDefaultTag(std::move(parsed));
  RETURN_IF_ERROR(ParseCacheFlag(attrs, "registry.insecure", &call.insecure));
  return call;
}

class RegistryTarget : public BlobTarget {
 public:
  RegistryTarget(std::shared_ptr<oci::Registry> registry, oci::RegistryCall call)
      : registry_(std::move(registry)), call_(std::move(call)) {}

  std::string place() const override { return call_.ref.Name(); }
  Status PutLayer(const oci::Descriptor& blob, cache::BlobSource& source,
                  std::stop_token stop) override {
    oci::RegistryCall call = call_;
    call.stop = stop;
    return registry_->PushBlob(call, blob, [&]() -> StatusOr<oci::ReadFn> {
      ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, source.Open(blob));
      return ReadBlobStream(std::move(reader));
    });
  }

  Status PutBytes(cache::CachePart part, const oci::Descriptor& blob, std::string_view bytes,
                  std::stop_token stop) override {
    oci::RegistryCall call = call_;
    call.stop = stop;
    if (part == cache::CachePart::kManifest) return registry_->PushManifest(call, blob, bytes);
    return registry_->PushBlob(
        call, blob, [bytes]() -> StatusOr<oci::ReadFn> { return oci::ReadFrom(bytes); });
  }

 private:
  std::shared_ptr<oci::Registry> registry_;
  oci::RegistryCall call_;
};

class RegistryCacheBackend : public CacheBackend {
 public:
  RegistryCacheBackend(std::shared_ptr<oci::Registry> registry, SessionTable& sessions)
      : registry_(std::move(registry)), sessions_(sessions) {}

  StatusOr<CacheOrigin> Import(const CacheAttrs& attrs) override {
    ASSIGN_OR_RETURN(oci::RegistryCall call, CallFor(attrs));
    CacheOrigin origin;
    origin.name = CacheAttr(attrs, "ref");
    origin.id = "registry:" + call.ref.Text();
    origin.open = [registry = registry_, &sessions = sessions_,
                   call](const std::vector<std::string>& ids) -> StatusOr<CacheOrigin::Opened> {
      oci::RegistryCall own = call;
      own.auth = NewSessionAuth(sessions, ids);
      CacheOrigin::Opened opened;
      ASSIGN_OR_RETURN(opened.root, registry->Resolve(own));
      opened.place = own.ref.Name();
      opened.blobs = NewRegistryBlobs(registry, std::move(own), sessions);
      return opened;
    };
    return origin;
  }

  StatusOr<std::unique_ptr<CacheExporter>> Export(const CacheAttrs& attrs,
                                                  const std::string& session) override {
    ASSIGN_OR_RETURN(DocumentExportOptions options, ParseDocumentExport(attrs));
    ASSIGN_OR_RETURN(oci::RegistryCall call, CallFor(attrs));
    call.auth = NewSessionAuth(sessions_, {session});
    return NewDocumentExporter("exporting cache to registry", std::move(options),
                               std::make_unique<RegistryTarget>(registry_, std::move(call)));
  }

 private:
  std::shared_ptr<oci::Registry> registry_;
  SessionTable& sessions_;
};

}  // namespace

std::unique_ptr<CacheBackend> NewRegistryCacheBackend(std::shared_ptr<oci::Registry> registry,
                                                      SessionTable& sessions) {
  return std::make_unique<RegistryCacheBackend>(std::move(registry), sessions);
}

}  // namespace kiln::worker
