// Pushing of blobs and manifests.
#include "base/strings.h"
#include "oci/registry.h"
#include "oci/registry_session.h"

namespace kiln::oci {
namespace {

constexpr int kUploadTries = 3;

Endpoint PushEndpoint(const RegistryHosts& hosts, const RegistryCall& call) {
  return EndpointsFor(hosts, call.ref.domain, call.insecure, true).back();
}

}  // namespace

Status Registry::PushBlob(const RegistryCall& call, const Descriptor& blob,
                          const std::function<StatusOr<ReadFn>()>& bytes,
                          const std::string& from) {
  Endpoint endpoint = PushEndpoint(state_->hosts, call);
  ASSIGN_OR_RETURN(std::shared_ptr<void> slot, state_->slots.Take(endpoint.host, call.stop));
  State::Ask head{.method = "HEAD", .path = StrCat("/blobs/", blob.digest.text())};
  head.push = true;
  ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> there, state_->Do(call, endpoint, head));
  if (there->status == 200) return OkStatus();
  if (there->status != 404) {
    return UnexpectedStatus("HEAD", AskUrl(endpoint, call, head.path), *there);
  }
  const std::string digest = ReplaceAll(blob.digest.text(), ":", "%3A");
  for (int attempt = 1;; ++attempt) {
    State::Ask post{.method = "POST", .path = "/blobs/uploads/"};
    post.push = true;
    // A registry that cannot or may not do so begins an upload.
    if (!from.empty() && from != call.ref.path && attempt == 1) {
      post.path += StrCat("?mount=", digest, "&from=", from);
      post.pull_from = from;
    }
    ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> started, state_->Do(call, endpoint, post));
    if (started->status == 201) return OkStatus();
    if (started->status != 202) {
      return UnexpectedStatus("POST", AskUrl(endpoint, call, post.path), *started);
    }
    ASSIGN_OR_RETURN(Url base, ParseUrl(AskUrl(endpoint, call, post.path)));
    ASSIGN_OR_RETURN(Url target, ResolveUrl(base, started->Header("location")));
    std::string url = target.Text();
    url += StrCat(Contains(url, "?") ? "&" : "?", "digest=", digest);
    started.reset();
    State::Ask put{.method = "PUT", .path = url};
    put.headers["Content-Type"] = "application/octet-stream";
    put.stream = bytes;
    put.stream_size = blob.size;
    put.push = true;
    StatusOr<std::unique_ptr<HttpResponse>> done = state_->Do(call, endpoint, put);
    if (done.ok() && ((*done)->status == 201 || (*done)->status == 204)) return OkStatus();
    Status failure = done.ok() ? UnexpectedStatus("PUT", url, **done) : done.status();
    bool passing = !done.ok() && failure.code() == StatusCode::kUnavailable;
    if (!passing || attempt >= kUploadTries) return failure;
  }
}

Status Registry::PushManifest(const RegistryCall& call, const Descriptor& manifest,
                              std::string_view bytes) {
  Endpoint endpoint = PushEndpoint(state_->hosts, call);
  std::string object = call.ref.tag.empty() ? manifest.digest.text() : call.ref.tag;
  State::Ask put{.method = "PUT", .path = StrCat("/manifests/", object)};
  put.headers["Content-Type"] = manifest.media_type;
  put.body = bytes;
  put.push = true;
  ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> done, state_->Do(call, endpoint, put));
  if (done->status >= 200 && done->status <= 202) return OkStatus();
  return UnexpectedStatus("PUT", AskUrl(endpoint, call, put.path), *done);
}

}  // namespace kiln::oci
