// The question is keyed by all that may change the answer or what progress shows.
#include "frontend/dockerfile/ui/image_resolver.h"

#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "oci/reference.h"

namespace kiln::dockerfile {

StatusOr<ResolvedImage> ImageResolver::Resolve(const std::string& reference,
                                               const ImageQuery& query) {
  const std::string key =
      StrJoin(std::vector<std::string>{
                  reference, query.platform ? FormatPlatformAll(*query.platform) : "",
                  query.resolve_mode, query.log_name, query.oci_session, query.oci_store},
              "\n");
  std::promise<StatusOr<ResolvedImage>> promise;
  std::shared_future<StatusOr<ResolvedImage>> future;
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    auto [entry, added] = answers_.try_emplace(key);
    if (added) entry->second = promise.get_future().share();
    future = entry->second;
    first = added;
  }
  if (first) promise.set_value(Ask(reference, query));
  return future.get();
}

StatusOr<ResolvedImage> ImageResolver::Ask(const std::string& reference, const ImageQuery& query) {
  StatusOr<oci::Reference> parsed = oci::ParseReference(reference);
  if (!parsed.ok()) {
    return Annotate(parsed.status(), StrCat("could not parse reference ", Quote(reference)));
  }
  const std::string name = parsed->Text();
  pb::SourceOp source;
  source.set_identifier(StrCat("docker-image://", name));
  if (!query.oci_store.empty()) {
    source.set_identifier(StrCat("oci-layout://", name));
    auto& attrs = *source.mutable_attrs();
    if (!query.oci_session.empty()) attrs["oci.session"] = query.oci_session;
    attrs["oci.store"] = query.oci_store;
  }
  frontend::ResolveRequest request;
  request.platform = query.platform;
  request.resolve_mode = query.resolve_mode;
  request.log_name = query.log_name;
  request.oci_store = query.oci_store;
  request.oci_session = query.oci_session;
  StatusOr<frontend::SourceMeta> meta = bridge_.ResolveSourceMeta(source, request, stop_);
  if (!meta.ok()) {
    return Annotate(meta.status(), StrCat("failed to resolve source metadata for ", name));
  }
  ResolvedImage image;
  const std::string& identifier =
      meta->identifier.empty() ? source.identifier() : meta->identifier;
  if (!identifier.starts_with("docker-image://") && !identifier.starts_with("oci-layout://")) {
    image.moved_to = identifier;
    return image;
  }
  image.reference = TrimPrefix(TrimPrefix(identifier, "docker-image://"), "oci-layout://");
  image.digest = meta->image_digest;
  image.config = std::move(meta->image_config);
  return image;
}

Status MovedError(const std::string& reference, const ResolvedImage& image) {
  return UnknownError(StrCat("ref mutated by policy to non-image: docker-image://", reference,
                             " -> ", image.moved_to));
}

}  // namespace kiln::dockerfile
