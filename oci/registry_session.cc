// Requests with tokens, redirects and retries. See registry_session.h.
#include "oci/registry_session.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "base/strings.h"

namespace kiln::oci {
namespace {

constexpr int kTransfersPerHost = 4;
constexpr int kTries = 5;
constexpr int kRedirects = 10;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}
bool IsPassing(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

// Sleeps, but wakes when stopped.
void Pause(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

StatusOr<std::shared_ptr<void>> TransferSlots::Take(const std::string& host,
                                                    std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!free_.wait(lock, stop, [&] { return used_[host] < kTransfersPerHost; })) {
    return CancelledError("context canceled");
  }
  ++used_[host];
  return std::shared_ptr<void>(nullptr, [this, host](void*) {
    {
      std::lock_guard guard(mutex_);
      --used_[host];
    }
    free_.notify_all();
  });
}

Status UnexpectedStatus(const std::string& method, const std::string& url,
                        HttpResponse& response) {
  std::string text = StrCat("unexpected status from ", method, " request to ", url, ": ",
                            response.status, " ", response.reason);
  StatusOr<std::string> body = method == "HEAD" ? std::string() : response.ReadBody(8 << 10);
  auto json = nlohmann::json::parse(body.value_or(""), nullptr, false);
  if (json.is_object() && json.contains("errors") && json["errors"].is_array() &&
      !json["errors"].empty() && json["errors"][0].is_object()) {
    const auto& error = json["errors"][0];
    auto part = [&](const char* key) {
      auto found = error.find(key);
      return found != error.end() && found->is_string() ? found->get<std::string>() : "";
    };
    std::string reason =
        StrCat(ToLower(ReplaceAll(part("code"), "_", " ")), ": ", part("message"));
    // Of a push the registry's own words are all that the reference shows.
    bool push = method == "POST" || method == "PUT";
    text = push ? reason : StrCat(text, "\n", reason);
  }
  StatusCode code = response.status == 404   ? StatusCode::kNotFound
                    : response.status == 401 ? StatusCode::kUnauthenticated
                    : response.status == 403 ? StatusCode::kPermissionDenied
                                             : StatusCode::kUnknown;
  return {code, std::move(text)};
}

std::string AskUrl(const Endpoint& endpoint, const RegistryCall& call, const std::string& path) {
  if (path.starts_with("http://") || path.starts_with("https://")) return path;
  std::string url = StrCat(endpoint.base, "/", call.ref.path, path);
  // A mirror serves several registries and has to be told which one is meant.
  if (endpoint.mirror) url += StrCat(Contains(path, "?") ? "&" : "?", "ns=", call.ref.domain);
  return url;
}

StatusOr<std::unique_ptr<HttpResponse>> Registry::State::Follow(HttpRequest request,
                                                                const Ask& ask) {
  std::string origin = request.url.HostPort();
  for (int hop = 0; hop <= kRedirects; ++hop) {
    if (ask.stream) {
      ASSIGN_OR_RETURN(request.stream, ask.stream());
      request.stream_size = ask.stream_size;
    }
    ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> response, client.Do(request));
    std::string location = response->Header("location");
    bool reading = request.method == "GET" || request.method == "HEAD";
    if (!IsRedirect(response->status) || location.empty() || !reading) return response;
    ASSIGN_OR_RETURN(Url next, ResolveUrl(request.url, location));
    // Credentials are for the registry, not for where it keeps its blobs.
    if (next.HostPort() != origin || (request.url.tls && !next.tls)) {
      request.headers.erase("Authorization");
      request.tls.key_pairs.clear();
    }
    request.url = std::move(next);
  }
  return UnavailableError(StrCat("stopped after ", kRedirects, " redirects"));
}

// Puts the answer to a 401 into the token cache.
Status Registry::State::Authorize(const RegistryCall& call, const Endpoint& endpoint,
                                  const std::string& scope, const std::string& key,
                                  const HttpRequest& request, const HttpResponse& response,
                                  bool again) {
  for (const AuthChallenge& challenge : ParseChallenges(response.Header("www-authenticate"))) {
    if (challenge.scheme != "bearer" && challenge.scheme != "basic") continue;
    auto error = challenge.parameters.find("error");
    if (again && error != challenge.parameters.end()) {
      return UnauthenticatedError(
          StrCat("server message: ", error->second, ": authorization failed"));
    }
    if (again) return NotFoundError("");  // tried already: the answer stands
    ASSIGN_OR_RETURN(AuthAnswer answer, AnswerChallenge(client, challenge, endpoint.host, scope,
                                                        call.auth.get(), request));
    tokens.Put(key, answer.header, answer.seconds);
    return OkStatus();
  }
  return NotFoundError("");
}

StatusOr<std::unique_ptr<HttpResponse>> Registry::State::Do(const RegistryCall& call,
                                                            Endpoint& endpoint, const Ask& ask) {
  std::string scope = StrCat("repository:", call.ref.path, ask.push ? ":pull,push" : ":pull");
  if (!ask.pull_from.empty()) scope += StrCat(" repository:", ask.pull_from, ":pull");
  std::string key = StrCat(endpoint.host, "|", call.auth ? call.auth->identity() : "", "|", scope);
  bool authorized = false;
  for (int attempt = 1;; ++attempt) {
    HttpRequest request;
    request.method = ask.method;
    std::string url = AskUrl(endpoint, call, ask.path);
    ASSIGN_OR_RETURN(request.url, ParseUrl(url));
    request.headers = ask.headers;
    request.body = ask.body;
    request.tls = endpoint.tls;
    request.stop = call.stop;
    std::string token = tokens.Find(key);
    if (!token.empty()) request.headers["Authorization"] = token;
    StatusOr<std::unique_ptr<HttpResponse>> response = Follow(request, ask);
    if (!response.ok()) {
      if (!endpoint.fallback_base.empty() && !IsCancelled(response.status())) {
        endpoint.base = std::exchange(endpoint.fallback_base, "");
        continue;
      }
      if (IsCancelled(response.status())) return response.status();
      std::string method = ask.method;
      for (size_t i = 1; i < method.size(); ++i) method[i] = static_cast<char>(method[i] + 32);
      return Annotate(response.status(), StrCat("failed to do request: ", method, " ", Quote(url)));
    }
    endpoint.fallback_base.clear();
    if ((*response)->status == 401) {
      Status answer = Authorize(call, endpoint, scope, key, request, **response, authorized);
      if (answer.ok()) {
        authorized = true;
        continue;
      }
      if (!IsNotFound(answer)) return answer;
    }
    if (!IsPassing((*response)->status) || attempt >= kTries) return response;
    Pause(std::chrono::milliseconds(50 << attempt), call.stop);
    if (call.stop.stop_requested()) return CancelledError("context canceled");
  }
}

}  // namespace kiln::oci
