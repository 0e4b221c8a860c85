// Resolving of image configs and source metadata for frontends.
#include "api/proto/gateway.pb.h"
#include "api/server/bridge_calls.h"
#include "api/server/progress_codec.h"
#include "api/server/worker_codec.h"
#include "base/strings.h"
#include "oci/reference.h"

namespace kiln::api {
namespace {

constexpr int kOciLayoutResolver = 1;

void FillChain(const oci::AttestationChain& chain, gateway::AttestationChain* out) {
  out->set_root(chain.root.text());
  out->set_imagemanifest(chain.image_manifest.text());
  out->set_attestationmanifest(chain.attestation_manifest.text());
  if (!chain.signature_manifest.empty()) {
    out->add_signaturemanifests(chain.signature_manifest.text());
  }
  for (const auto& [digest, blob] : chain.blobs) {
    gateway::Blob& to = (*out->mutable_blobs())[digest];
    to.mutable_desc()->set_media_type(blob.descriptor.media_type);
    to.mutable_desc()->set_digest(digest);
    to.mutable_desc()->set_size(blob.descriptor.size);
    to.mutable_desc()->mutable_annotations()->insert(blob.descriptor.annotations.begin(),
                                                     blob.descriptor.annotations.end());
    to.set_data(blob.bytes);
  }
}

template <typename Policies>
void AddPolicies(const Policies& policies, frontend::ResolveRequest* out) {
  for (const auto& policy : policies) out->source_policies.push_back(policy.SerializeAsString());
}

}  // namespace

void FillMeta(const frontend::SourceMeta& meta, gateway::ResolveSourceMetaResponse* response) {
  response->mutable_source()->set_identifier(meta.identifier);
  response->mutable_source()->mutable_attrs()->insert(meta.attrs.begin(), meta.attrs.end());
  if (!meta.image_digest.empty()) {
    response->mutable_image()->set_digest(meta.image_digest.text());
    response->mutable_image()->set_config(meta.image_config);
    if (meta.attestation_chain) {
      FillChain(*meta.attestation_chain, response->mutable_image()->mutable_attestationchain());
    }
  }
  if (!meta.git_checksum.empty()) {
    gateway::ResolveSourceGitResponse* git = response->mutable_git();
    git->set_checksum(meta.git_checksum);
    git->set_ref(meta.git_ref);
    git->set_commitchecksum(meta.git_commit_checksum);
    git->set_commitobject(meta.git_commit_object);
    git->set_tagobject(meta.git_tag_object);
  }
  if (!meta.http_digest.empty()) {
    gateway::ResolveSourceHTTPResponse* http = response->mutable_http();
    http->set_checksum(meta.http_digest.text());
    http->set_filename(meta.http_filename);
    if (meta.http_last_modified) SetTimestamp(*meta.http_last_modified, http->mutable_lastmodified());
    if (!meta.http_further_digest.empty()) {
      http->mutable_checksumresponse()->set_digest(meta.http_further_digest);
      http->mutable_checksumresponse()->set_suffix(meta.http_suffix);
    }
  }
}

frontend::ResolveRequest ToResolveRequest(const gateway::ResolveSourceMetaRequest& request) {
  frontend::ResolveRequest resolve;
  if (request.has_platform()) resolve.platform = FromPlatform(request.platform());
  resolve.resolve_mode = request.resolvemode();
  resolve.log_name = request.logname();
  resolve.need_image_config = !request.image().noconfig();
  const auto& attestations = request.image().resolveattestations();
  resolve.attestations = {attestations.begin(), attestations.end()};
  resolve.attestation_chain = request.image().attestationchain() || !attestations.empty();
  resolve.git_return_object = request.git().returnobject();
  if (request.http().has_checksumrequest()) {
    const gateway::ChecksumRequest& checksum = request.http().checksumrequest();
    resolve.http_checksum = {static_cast<int>(checksum.algo()), checksum.suffix()};
  }
  AddPolicies(request.sourcepolicies(), &resolve);
  return resolve;
}

Status ResolveSourceMeta(ClientFrontend& frontend, const gateway::ResolveSourceMetaRequest& request,
                         std::stop_token stop, gateway::ResolveSourceMetaResponse* response) {
  if (!request.has_source()) return InvalidArgumentError("source is required");
  frontend::ResolveRequest resolve = ToResolveRequest(request);
  ASSIGN_OR_RETURN(auto meta, frontend.bridge().ResolveSourceMeta(request.source(), resolve, stop));
  FillMeta(meta, response);
  return OkStatus();
}

Status ResolveImageConfig(ClientFrontend& frontend, const gateway::ResolveImageConfigRequest& request,
                          std::stop_token stop, gateway::ResolveImageConfigResponse* response) {
  auto reference = oci::ParseReference(request.ref());
  if (!reference.ok()) {
    return Annotate(reference.status(), StrCat("could not parse reference ", Quote(request.ref())));
  }
  pb::SourceOp source;
  frontend::ResolveRequest resolve;
  if (request.has_platform()) resolve.platform = FromPlatform(request.platform());
  resolve.resolve_mode = request.resolvemode();
  resolve.log_name = request.logname();
  AddPolicies(request.sourcepolicies(), &resolve);
  if (request.resolvertype() == kOciLayoutResolver) {
    source.set_identifier(StrCat("oci-layout://", reference->Text()));
    resolve.oci_session = request.sessionid();
    resolve.oci_store = request.storeid();
    if (!resolve.oci_session.empty()) {
      (*source.mutable_attrs())["oci.session"] = resolve.oci_session;
    }
    if (!resolve.oci_store.empty()) (*source.mutable_attrs())["oci.store"] = resolve.oci_store;
  } else {
    source.set_identifier(StrCat("docker-image://", reference->Text()));
  }
  auto meta = frontend.bridge().ResolveSourceMeta(source, resolve, stop);
  if (!meta.ok()) {
    return Annotate(meta.status(),
                    StrCat("failed to resolve source metadata for ", reference->Text()));
  }
  std::string_view ref = TrimPrefix(meta->identifier, "docker-image://");
  response->set_ref(std::string(TrimPrefix(ref, "oci-layout://")));
  response->set_digest(meta->image_digest.text());
  response->set_config(meta->image_config);
  return OkStatus();
}

}  // namespace kiln::api
