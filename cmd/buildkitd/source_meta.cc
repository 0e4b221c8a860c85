// See source_meta.h.
#include "cmd/buildkitd/source_meta.h"

#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/source/image/attestation_chain.h"

namespace kiln::buildkitd {
namespace {

std::string Attr(const pb::SourceOp& source, const std::string& name) {
  auto entry = source.attrs().find(name);
  return entry == source.attrs().end() ? "" : entry->second;
}

// A source that is asked on behalf of a frontend, outside of the solver's jobs.
class MetaJob : public solver::JobContext {
 public:
  MetaJob(solver::Scheduler& scheduler, const control::MetaQuery& query)
      : scheduler_(scheduler), query_(query) {}
  std::vector<std::string> Sessions() const override { return {query_.session}; }
  std::vector<std::string> Builds() const override { return {query_.build}; }
  solver::VertexProgress& progress() override { return query_.progress; }
  std::stop_token stop() const override { return query_.stop; }
  int compatibility_version() const override { return 0; }
  StatusOr<cache::Ref> SubBuild(const llb::Edge&) override {
    return UnimplementedError("no builds while a source is resolved");
  }
  StatusOr<std::string> Memo(std::string_view key,
                             const std::function<StatusOr<std::string>()>& compute) override {
    return scheduler_.Memo(query_.build, key, compute);
  }

 private:
  solver::Scheduler& scheduler_;
  const control::MetaQuery& query_;
};

worker::MetadataRequest MetadataRequestOf(const frontend::ResolveRequest& request) {
  worker::MetadataRequest out;
  out.git_objects = request.git_return_object;
  if (request.http_checksum) {
    out.http_checksum = {request.http_checksum->algorithm, request.http_checksum->suffix};
  }
  return out;
}

StatusOr<frontend::SourceMeta> ResolveRemote(worker::Source& source, solver::Scheduler& scheduler,
                                             std::string_view scheme, std::string_view ref,
                                             const control::MetaQuery& query) {
  const std::map<std::string, std::string> attrs(query.source.attrs().begin(),
                                                 query.source.attrs().end());
  ASSIGN_OR_RETURN(auto instance, source.Resolve(scheme, ref, attrs, query.request.platform));
  MetaJob job(scheduler, query);
  ASSIGN_OR_RETURN(worker::SourceMetadata found,
                   instance->Metadata(MetadataRequestOf(query.request), job));
  // What was fetched to answer must be there when the build asks for it.
  scheduler.Hold(query.build, std::shared_ptr<worker::SourceInstance>(std::move(instance)));
  frontend::SourceMeta meta;
  meta.identifier = query.source.identifier();
  meta.attrs = {attrs.begin(), attrs.end()};
  meta.git_checksum = std::move(found.git_checksum);
  meta.git_ref = std::move(found.git_ref);
  meta.git_commit_checksum = std::move(found.git_commit_checksum);
  meta.git_commit_object = std::move(found.git_commit_object);
  meta.git_tag_object = std::move(found.git_tag_object);
  meta.http_digest = found.http_digest;
  meta.http_filename = std::move(found.http_filename);
  meta.http_last_modified = found.http_last_modified;
  meta.http_further_digest = std::move(found.http_further_digest);
  if (query.request.http_checksum) meta.http_suffix = query.request.http_checksum->suffix;
  return meta;
}

}  // namespace

StatusOr<frontend::SourceMeta> ResolveMeta(const MetaSources& sources,
                                           const control::MetaQuery& query) {
  std::string_view scheme, ref;
  if (!StrCut(query.source.identifier(), "://", &scheme, &ref)) {
    return InvalidArgumentError(StrCat("failed to parse ", query.source.identifier()));
  }
  if (scheme == "git" || scheme == "http" || scheme == "https") {
    worker::Source* source = sources.worker.FindSource(scheme);
    if (source == nullptr) return UnknownError(StrCat(scheme, " source is not supported"));
    return ResolveRemote(*source, sources.scheduler, scheme, ref, query);
  }
  if (scheme != "docker-image" && scheme != "oci-layout") {
    // There is nothing to tell, and that is no error.
    frontend::SourceMeta meta;
    meta.identifier = query.source.identifier();
    meta.attrs = {query.source.attrs().begin(), query.source.attrs().end()};
    return meta;
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
  ASSIGN_OR_RETURN(auto answer, sources.images.ResolveConfig(image, query.request.platform));
  frontend::SourceMeta meta;
  meta.identifier = query.source.identifier();
  meta.attrs = {query.source.attrs().begin(), query.source.attrs().end()};
  meta.image_digest = answer.digest;
  if (query.request.need_image_config) meta.image_config = std::move(answer.config);
  if (query.request.attestation_chain && scheme == "docker-image") {
    ASSIGN_OR_RETURN(auto origin, sources.images.OriginFor(image));
    Platform platform = query.request.platform.value_or(NormalizePlatform(DefaultPlatform()));
    ASSIGN_OR_RETURN(meta.attestation_chain,
                     worker::FindAttestations(*origin, image.ref, platform,
                                              query.request.attestations));
    if (meta.attestation_chain && meta.attestation_chain->root != meta.image_digest) {
      return UnknownError(StrCat("attestation chain root digest ",
                                 meta.attestation_chain->root.text(),
                                 " does not match image digest ", meta.image_digest.text()));
    }
  }
  return meta;
}

}  // namespace kiln::buildkitd
