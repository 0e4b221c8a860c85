// Basic and bearer authentication. See registry_auth.h.
#include "oci/registry_auth.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace kiln::oci {
namespace {

constexpr size_t kMaxTokenBody = 1 << 20;

std::string EscapeQuery(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = std::isalnum(static_cast<unsigned char>(c)) || Contains("-_.~", std::string(1, c));
    out += plain ? std::string(1, c) : StrCat("%", ToUpper(HexEncode(std::string(1, c))));
  }
  return out;
}

StatusOr<RegistryToken> ParseToken(const std::string& body) {
  auto json = nlohmann::json::parse(body, nullptr, false);
  RegistryToken token;
  if (json.is_object()) {
    for (const char* key : {"token", "access_token"}) {
      auto found = json.find(key);
      if (token.token.empty() && found != json.end() && found->is_string()) {
        token.token = found->get<std::string>();
      }
    }
    auto expires = json.find("expires_in");
    if (expires != json.end() && expires->is_number_integer()) {
      token.expires_in = expires->get<int64_t>();
    }
  }
  if (token.token.empty()) return PermissionDeniedError("no token in response");
  return token;
}

StatusOr<RegistryToken> AskRealm(HttpClient& client, const TokenQuery& query,
                                 const RegistryLogin& login, const HttpRequest& like) {
  HttpRequest request;
  request.tls = like.tls;
  request.stop = like.stop;
  std::string form = StrCat("service=", EscapeQuery(query.service));
  for (const std::string& scope : query.scopes) form += StrCat("&scope=", EscapeQuery(scope));
  std::string url = query.realm;
  if (login.username.empty() && !login.secret.empty()) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8";
    request.body = StrCat("client_id=buildkit-client&grant_type=refresh_token&refresh_token=",
                          EscapeQuery(login.secret), "&", form);
  } else {
    url += StrCat(Contains(url, "?") ? "&" : "?", form);
    if (!login.username.empty()) {
      request.headers["Authorization"] =
          StrCat("Basic ", Base64Encode(StrCat(login.username, ":", login.secret)));
    }
  }
  ASSIGN_OR_RETURN(request.url, ParseUrl(url));
  ASSIGN_OR_RETURN(std::unique_ptr<HttpResponse> response, client.Do(request));
  if (response->status < 200 || response->status >= 400) {
    return PermissionDeniedError(StrCat("unexpected status from ", request.method, " request to ",
                                        request.url.Text(), ": ", response->status, " ",
                                        response->reason));
  }
  ASSIGN_OR_RETURN(std::string body, response->ReadBody(kMaxTokenBody));
  return ParseToken(body);
}

}  // namespace

std::vector<AuthChallenge> ParseChallenges(std::string_view text) {
  std::vector<AuthChallenge> challenges;
  auto token = [&] {
    size_t end = text.find_first_of(" \t,=\"");
    std::string part(text.substr(0, end));
    text.remove_prefix(part.size());
    return part;
  };
  while (!text.empty()) {
    while (!text.empty() && Contains(" \t,", text.substr(0, 1))) text.remove_prefix(1);
    std::string word = token();
    if (word.empty()) {
      if (!text.empty()) text.remove_prefix(1);
      continue;
    }
    if (!text.starts_with('=')) {
      challenges.push_back({ToLower(word), {}});
      continue;
    }
    text.remove_prefix(1);
    std::string value;
    if (text.starts_with('"')) {
      text.remove_prefix(1);
      while (!text.empty() && text.front() != '"') {
        if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
        value += text.front();
        text.remove_prefix(1);
      }
      if (!text.empty()) text.remove_prefix(1);
    } else {
      value = token();
    }
    if (!challenges.empty()) challenges.back().parameters[ToLower(word)] = value;
  }
  return challenges;
}

std::string TokenCache::Find(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end()) return "";
  if (found->second.until > std::chrono::steady_clock::now()) return found->second.header;
  entries_.erase(found);
  return "";
}

void TokenCache::Put(const std::string& key, std::string header, int64_t seconds) {
  if (seconds <= 0) seconds = 60;
  std::lock_guard lock(mutex_);
  if (entries_.size() > 1000) entries_.clear();
  // A little early, so that a request does not start with a token about to end.
  entries_[key] = {std::move(header),
                   std::chrono::steady_clock::now() + std::chrono::seconds(seconds * 9 / 10)};
}

StatusOr<AuthAnswer> AnswerChallenge(HttpClient& client, const AuthChallenge& challenge,
                                     const std::string& host, const std::string& scope,
                                     RegistryAuth* auth, const HttpRequest& like) {
  RegistryLogin login;
  auto parameter = [&](const char* key) {
    auto found = challenge.parameters.find(key);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  if (challenge.scheme == "basic") {
    if (auth != nullptr) {
      ASSIGN_OR_RETURN(login, auth->Login(host));
    }
    if (login.username.empty() || login.secret.empty()) {
      return NotFoundError("no basic auth credentials");  // the registry's answer stands
    }
    return AuthAnswer{StrCat("Basic ", Base64Encode(StrCat(login.username, ":", login.secret))),
                      600};
  }
  TokenQuery query{host, parameter("realm"), parameter("service"), {}};
  // The challenge knows nothing of a second repository.
  const bool own = parameter("scope").empty() || Contains(scope, " ");
  std::string scopes = own ? scope : parameter("scope");
  for (std::string_view one : StrSplit(scopes, ' ')) {
    if (!one.empty()) query.scopes.emplace_back(one);
  }
  if (query.realm.empty()) {
    return UnauthenticatedError("no realm specified for token auth challenge");
  }
  StatusOr<RegistryToken> token = UnimplementedError("");
  if (auth != nullptr) token = auth->FetchToken(query);
  const char* what = "failed to authorize: failed to fetch oauth token";
  if (!token.ok() && token.status().code() == StatusCode::kUnimplemented) {
    if (auth != nullptr) {
      ASSIGN_OR_RETURN(login, auth->Login(host));
    }
    if (login.secret.empty()) what = "failed to authorize: failed to fetch anonymous token";
    token = AskRealm(client, query, login, like);
  }
  if (!token.ok()) return Annotate(token.status(), what);
  return AuthAnswer{StrCat("Bearer ", token->token), token->expires_in};
}

}  // namespace kiln::oci
