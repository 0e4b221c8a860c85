// Backends by type, and the inline one. See cache_backend.h.
#include "worker/remotecache/cache_backend.h"

namespace kiln::worker {
namespace {

class InlineCacheExporter : public CacheExporter {
 public:
  std::string name() const override { return "exporting inline cache"; }
  bool is_inline() const override { return true; }
  StatusOr<CacheAttrs> Write(const cache::CacheChains&, const SeenBlobs&, solver::VertexProgress&,
                             std::stop_token) override {
    return CacheAttrs();
  }
};

class InlineCacheBackend : public CacheBackend {
 public:
  StatusOr<CacheOrigin> Import(const CacheAttrs&) override {
    return UnimplementedError("an inline cache is imported from its image's registry");
  }
  StatusOr<std::unique_ptr<CacheExporter>> Export(const CacheAttrs&, const std::string&) override {
    return std::make_unique<InlineCacheExporter>();
  }
};

}  // namespace

StatusOr<std::shared_ptr<ImportedCache>> CacheBackends::Import(
    const std::string& type, const CacheAttrs& attrs, const std::vector<std::string>& sessions,
    solver::VertexProgress* progress) {
  auto backend = backends_.find(type);
  if (backend == backends_.end() || type == "inline") {
    return UnknownError(StrCat("unknown cache importer: ", type));
  }
  StatusOr<CacheOrigin> origin = backend->second->Import(attrs);
  std::string doing = StrCat("failed to configure ", type, " cache importer");
  if (!origin.ok()) return Annotate(origin.status(), doing);
  // What the origin says before the manifest is read still belongs to its configuration.
  origin->open = [open = std::move(origin->open), doing](const auto& ids) {
    StatusOr<CacheOrigin::Opened> opened = open(ids);
    return opened.ok() ? std::move(opened) : Annotate(opened.status(), doing);
  };
  if (progress != nullptr) {
    origin->on_type = [progress](std::string_view media_type) {
      solver::StatusLine(*progress, StrCat("inferred cache manifest type: ", media_type));
    };
  }
  auto imported = std::make_shared<ImportedCache>(*std::move(origin), refs_);
  RETURN_IF_ERROR(imported->Open(sessions));
  return imported;
}

StatusOr<std::unique_ptr<CacheExporter>> CacheBackends::Export(const std::string& type,
                                                               const CacheAttrs& attrs,
                                                               const std::string& session) {
  auto backend = backends_.find(type);
  if (backend == backends_.end()) {
    return UnknownError(StrCat("unknown cache exporter: ", Quote(type)));
  }
  StatusOr<std::unique_ptr<CacheExporter>> exporter = backend->second->Export(attrs, session);
  if (exporter.ok()) return exporter;
  return Annotate(exporter.status(), StrCat("failed to configure ", type, " cache exporter"));
}

std::unique_ptr<CacheBackend> NewInlineCacheBackend() {
  return std::make_unique<InlineCacheBackend>();
}

}  // namespace kiln::worker
