// See source_meta.h.
#include "cmd/buildkitd/source_meta.h"

#include "base/strings.h"
#include "llb/proto/ops.pb.h"

namespace kiln::buildkitd {
namespace {

std::string Attr(const pb::SourceOp& source, const std::string& name) {
  auto entry = source.attrs().find(name);
  return entry == source.attrs().end() ? "" : entry->second;
}

}  // namespace

StatusOr<frontend::SourceMeta> ResolveMeta(worker::ImageResolver& images,
                                           const control::MetaQuery& query) {
  std::string_view scheme, ref;
  if (!StrCut(query.source.identifier(), "://", &scheme, &ref)) {
    return InvalidArgumentError(StrCat("failed to parse ", query.source.identifier()));
  }
  if (scheme != "docker-image" && scheme != "oci-layout") {
    return UnimplementedError(StrCat("resolving ", scheme, " sources is not supported"));
  }
  worker::ImageQuery image;
  image.scheme = std::string(scheme);
  image.ref = std::string(ref);
  image.resolve_mode = query.request.resolve_mode;
  image.store = query.request.oci_store.empty() ? Attr(query.source, "oci.store")
                                                : query.request.oci_store;
  image.session = query.request.oci_session.empty() ? Attr(query.source, "oci.session")
                                                    : query.request.oci_session;
  image.sessions = {query.session};
  ASSIGN_OR_RETURN(auto answer, images.ResolveConfig(image, query.request.platform));
  frontend::SourceMeta meta;
  meta.identifier = query.source.identifier();
  meta.attrs = {query.source.attrs().begin(), query.source.attrs().end()};
  meta.image_digest = answer.digest;
  if (query.request.need_image_config) meta.image_config = std::move(answer.config);
  return meta;
}

}  // namespace kiln::buildkitd
