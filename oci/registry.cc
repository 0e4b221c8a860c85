// Resolving and fetching. Pushing is registry_push.cc.
#include "oci/registry.h"

#include "base/strings.h"
#include "oci/manifest.h"
#include "oci/registry_session.h"

namespace kiln::oci {
namespace {

constexpr size_t kMaxManifest = 8 << 20;
constexpr const char* kManifestTypes =
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

Status Denied(const Status& status) {
  if (!Contains(status.message(), "authorization failed")) return status;
  return Annotate(status,
                  "pull access denied, repository does not exist or may require authorization");
}

// A response that gives its slot back when it is dropped.
class SlottedResponse : public HttpResponse {
 public:
  SlottedResponse(std::unique_ptr<HttpResponse> inner, std::shared_ptr<void> slot)
      : slot_(std::move(slot)), inner_(std::move(inner)) {
    status = inner_->status;
    reason = inner_->reason;
    headers = inner_->headers;
    content_length = inner_->content_length;
  }
  StatusOr<size_t> Read(std::span<char> buffer) override { return inner_->Read(buffer); }

 private:
  std::shared_ptr<void> slot_;
  std::unique_ptr<HttpResponse> inner_;
};

// What the head of an answer says about a manifest; empty digest if it does not.
StatusOr<Descriptor> FromHead(const HttpResponse& response, const Reference& ref) {
  Descriptor found;
  found.media_type = response.Header("content-type");
  found.media_type = std::string(TrimSpace(found.media_type.substr(0, found.media_type.find(';'))));
  found.size = response.content_length;
  found.digest = ref.digest;
  std::string text = response.Header("docker-content-digest");
  if (found.digest.empty() && !text.empty() && found.size >= 0) {
    StatusOr<Digest> digest = Digest::Parse(text);
    if (!digest.ok()) {
      return Annotate(digest.status(), StrCat(Quote(text), " in header not a valid digest"));
    }
    found.digest = *digest;
  }
  if (found.size < 0) found.digest = Digest();
  return found;
}

}  // namespace

Registry::Registry(RegistryHosts hosts) : state_(std::make_shared<State>()) {
  state_->hosts = std::move(hosts);
}
Registry::~Registry() = default;

StatusOr<Descriptor> Registry::Resolve(const RegistryCall& call) {
  std::string object = call.ref.digest.empty() ? call.ref.tag : call.ref.digest.text();
  if (object.empty()) return InvalidArgumentError("object required");
  State::Ask ask{.method = "HEAD", .path = StrCat("/manifests/", object)};
  ask.headers["Accept"] = kManifestTypes;
  Status first;
  int first_rank = 0;  // how far the failed request came
  auto keep = [&](Status status, int rank) {
    if (rank > first_rank) {
      first = std::move(status);
      first_rank = rank;
    }
  };
  for (Endpoint& endpoint : EndpointsFor(state_->hosts, call.ref.domain, call.insecure, false)) {
    ask.method = "HEAD";
    StatusOr<std::unique_ptr<HttpResponse>> head = state_->Do(call, endpoint, ask);
    if (!head.ok()) {
      if (IsCancelled(head.status())) return head.status();
      keep(Denied(head.status()), 1);
      continue;
    }
    int status = (*head)->status;
    if (status == 404) {
      keep(NotFoundError(StrCat(call.ref.Text(), ": not found")), 2);
      continue;
    }
    if (status > 299 && status != 405) {
      keep(UnexpectedStatus("HEAD", AskUrl(endpoint, call, ask.path), **head), 3);
      continue;
    }
    if (status <= 299) {
      ASSIGN_OR_RETURN(Descriptor found, FromHead(**head, call.ref));
      if (!found.digest.empty()) return found;
    }
    ask.method = "GET";
    ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> get, state_->Do(call, endpoint, ask));
    if (get->status > 299) {
      keep(UnexpectedStatus("GET", AskUrl(endpoint, call, ask.path), *get), 3);
      continue;
    }
    ASSIGN_OR_RETURN(std::string bytes, get->ReadBody(kMaxManifest));
    Descriptor found;
    found.media_type = get->Header("content-type");
    found.size = static_cast<int64_t>(bytes.size());
    found.digest = call.ref.digest.empty() ? Digest::Of(bytes) : call.ref.digest;
    return found;
  }
  return first;
}

StatusOr<std::unique_ptr<HttpResponse>> Registry::Open(const RegistryCall& call,
                                                       const Descriptor& blob, int64_t offset) {
  bool manifest = IsManifestType(blob.media_type) || IsIndexType(blob.media_type);
  State::Ask ask{.path = StrCat(manifest ? "/manifests/" : "/blobs/", blob.digest.text())};
  ask.headers["Accept"] = manifest ? kManifestTypes : StrCat(blob.media_type, ", */*");
  if (offset > 0) ask.headers["Range"] = StrCat("bytes=", offset, "-");
  Status first;
  for (Endpoint& endpoint : EndpointsFor(state_->hosts, call.ref.domain, call.insecure, false)) {
    ASSIGN_OR_RETURN(std::shared_ptr<void> slot, state_->slots.Take(endpoint.host, call.stop));
    StatusOr<std::unique_ptr<HttpResponse>> response = state_->Do(call, endpoint, ask);
    if (!response.ok()) {
      if (IsCancelled(response.status())) return response.status();
      if (first.ok()) first = Denied(response.status());
      continue;
    }
    int status = (*response)->status;
    if (status == 200 || (status == 206 && offset > 0)) {
      // A server that knows no ranges starts over: skip what is there already.
      std::string skipped(64 << 10, '\0');
      for (int64_t left = status == 200 ? offset : 0; left > 0;) {
        auto part = std::span<char>(skipped).first(
            static_cast<size_t>(std::min<int64_t>(left, static_cast<int64_t>(skipped.size()))));
        ASSIGN_OR_RETURN(size_t count, (*response)->Read(part));
        if (count == 0) return DataLossError("unexpected EOF");
        left -= static_cast<int64_t>(count);
      }
      return std::unique_ptr<HttpResponse>(
          std::make_unique<SlottedResponse>(*std::move(response), std::move(slot)));
    }
    if (!first.ok()) continue;
    first = status == 404
                ? NotFoundError(StrCat("content at ", AskUrl(endpoint, call, ask.path),
                                       " not found: not found"))
                : UnexpectedStatus("GET", AskUrl(endpoint, call, ask.path), **response);
  }
  return first;
}

StatusOr<std::string> Registry::ReadRange(const RegistryCall& call, const Descriptor& blob,
                                          uint64_t offset, uint64_t length) {
  if (length == 0) return std::string();
  State::Ask ask{.path = StrCat("/blobs/", blob.digest.text())};
  ask.headers["Accept"] = StrCat(blob.media_type, ", */*");
  ask.headers["Range"] = StrCat("bytes=", offset, "-", offset + length - 1);
  Status first;
  auto keep = [&first](Status status) {
    if (first.ok()) first = std::move(status);
  };
  for (Endpoint& endpoint : EndpointsFor(state_->hosts, call.ref.domain, call.insecure, false)) {
    StatusOr<std::unique_ptr<HttpResponse>> response = state_->Do(call, endpoint, ask);
    if (!response.ok()) {
      if (IsCancelled(response.status())) return response.status();
      keep(Denied(response.status()));
    } else if ((*response)->status == 206) {
      ASSIGN_OR_RETURN(std::string bytes, (*response)->ReadBody(length));
      if (bytes.size() == length) return bytes;
      return DataLossError("unexpected EOF");
    } else if ((*response)->status == 200) {
      keep(UnimplementedError(StrCat(endpoint.host, " does not serve ranges of blobs")));
    } else if ((*response)->status == 404) {
      keep(NotFoundError(StrCat("content at ", AskUrl(endpoint, call, ask.path),
                                " not found: not found")));
    } else {
      keep(UnexpectedStatus("GET", AskUrl(endpoint, call, ask.path), **response));
    }
  }
  return first;
}

StatusOr<std::vector<Descriptor>> Registry::Referrers(const RegistryCall& call,
                                                      const Digest& subject) {
  Status first;
  auto keep = [&first](Status status) {
    if (first.ok()) first = std::move(status);
  };
  for (bool by_tag : {false, true}) {
    const std::string tag = StrCat(subject.algorithm(), "-", subject.hex());
    State::Ask ask{.path = by_tag ? StrCat("/manifests/", tag)
                                  : StrCat("/referrers/", subject.text())};
    ask.headers["Accept"] = StrCat(kOciIndex, ", */*");
    for (Endpoint& endpoint : EndpointsFor(state_->hosts, call.ref.domain, call.insecure, false)) {
      StatusOr<std::unique_ptr<HttpResponse>> response = state_->Do(call, endpoint, ask);
      if (!response.ok()) {
        if (IsCancelled(response.status())) return response.status();
        keep(Denied(response.status()));
        continue;
      }
      if ((*response)->status == 404) {
        if (by_tag) return std::vector<Descriptor>();
        continue;
      }
      if ((*response)->status > 299) {
        keep(UnexpectedStatus("GET", AskUrl(endpoint, call, ask.path), **response));
        continue;
      }
      ASSIGN_OR_RETURN(std::string bytes, (*response)->ReadBody(kMaxManifest));
      StatusOr<Index> index = ParseIndex(bytes);
      if (!index.ok()) return Annotate(index.status(), "failed to decode referrers index");
      return std::move(index->manifests);
    }
  }
  return first;
}

}  // namespace kiln::oci
