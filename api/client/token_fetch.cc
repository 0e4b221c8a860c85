// Two requests and the JSON that answers them.
#include "api/client/token_fetch.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/strings.h"
#include "base/time.h"
#include "base/url.h"
#include "oci/http_client.h"

namespace kiln::api {
namespace {

constexpr size_t kMostBody = 1 << 20;

oci::TlsOptions TlsOf(const AuthTls& tls) {
  return {.skip_verify = tls.insecure, .ca_files = tls.root_cas, .key_pairs = tls.key_pairs};
}

StatusOr<FetchedToken> Parse(const std::string& body, bool oauth) {
  auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return UnknownError("unable to decode token response");
  FetchedToken token;
  auto text = [&](const char* key) {
    auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  token.token = oauth ? text("access_token") : text("token");
  // Some servers give the old name in both.
  if (token.token.empty()) token.token = text("access_token");
  if (auto seconds = json.find("expires_in"); seconds != json.end() && seconds->is_number()) {
    token.expires_in = seconds->get<int64_t>();
  }
  if (auto time = ParseRfc3339(text("issued_at")); time.ok()) {
    token.issued_at = time->nanos / 1'000'000'000;
  }
  if (token.token.empty()) return UnknownError("no token in response");
  return token;
}

// An HTTP answer that is no success; `http_status` is set for those.
StatusOr<std::string> Ask(oci::HttpRequest request, int* http_status) {
  oci::HttpClient client;
  ASSIGN_OR_RETURN(std::unique_ptr<oci::HttpResponse> response, client.Do(request));
  *http_status = response->status;
  if (response->status < 200 || response->status >= 400) {
    return UnknownError(StrCat("unexpected status from ", request.method, " request to ",
                               request.url.Text(), ": ", response->status, " ",
                               response->reason));
  }
  return response->ReadBody(kMostBody);
}

StatusOr<FetchedToken> ByPost(const TokenQuery& query, const DockerCredentials& credentials,
                              const oci::TlsOptions& tls, int* http_status) {
  oci::HttpRequest request{.method = "POST"};
  ASSIGN_OR_RETURN(request.url, oci::ParseUrl(query.realm));
  std::string form = "client_id=buildkit-client&grant_type=";
  if (credentials.username.empty()) {
    form += StrCat("refresh_token&refresh_token=", UrlQueryEscape(credentials.secret));
  } else {
    form += StrCat("password&password=", UrlQueryEscape(credentials.secret));
  }
  if (!query.scopes.empty()) form += StrCat("&scope=", UrlQueryEscape(StrJoin(query.scopes, " ")));
  form += StrCat("&service=", UrlQueryEscape(query.service));
  if (!credentials.username.empty()) {
    form += StrCat("&username=", UrlQueryEscape(credentials.username));
  }
  request.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8";
  request.headers["User-Agent"] = "buildkit-client";
  request.body = std::move(form);
  request.tls = tls;
  ASSIGN_OR_RETURN(std::string body, Ask(std::move(request), http_status));
  return Parse(body, true);
}

StatusOr<FetchedToken> ByGet(const TokenQuery& query, const DockerCredentials& credentials,
                             const oci::TlsOptions& tls) {
  oci::HttpRequest request;
  std::string url = query.realm;
  auto add = [&](std::string_view key, std::string_view value) {
    url += StrCat(Contains(url, "?") ? "&" : "?", key, "=", UrlQueryEscape(value));
  };
  for (const std::string& scope : query.scopes) add("scope", scope);
  if (!query.service.empty()) add("service", query.service);
  ASSIGN_OR_RETURN(request.url, oci::ParseUrl(url));
  if (!credentials.secret.empty()) {
    request.headers["Authorization"] = StrCat(
        "Basic ", Base64Encode(StrCat(credentials.username, ":", credentials.secret)));
  }
  request.tls = tls;
  int http_status = 0;
  ASSIGN_OR_RETURN(std::string body, Ask(std::move(request), &http_status));
  return Parse(body, false);
}

}  // namespace

StatusOr<FetchedToken> FetchToken(const TokenQuery& query, const DockerCredentials& credentials,
                                  const AuthTls& tls) {
  oci::TlsOptions options = TlsOf(tls);
  if (credentials.secret.empty()) {
    StatusOr<FetchedToken> token = ByGet(query, credentials, options);
    return token.ok() ? token : Annotate(token.status(), "failed to fetch anonymous token");
  }
  int http_status = 0;
  StatusOr<FetchedToken> token = ByPost(query, credentials, options, &http_status);
  // Registries without the POST endpoint answer with one of these.
  bool missing = http_status == 404 || http_status == 401 ||
                 (http_status == 405 && !credentials.username.empty());
  if (!token.ok() && missing) token = ByGet(query, credentials, options);
  return token.ok() ? token : Annotate(token.status(), "failed to fetch oauth token");
}

}  // namespace kiln::api
