// Challenges and tokens of registries. For registry.cc only.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "base/status.h"
#include "oci/http_client.h"
#include "oci/registry.h"

namespace kiln::oci {

// One WWW-Authenticate header: the scheme in lower case and its parameters.
struct AuthChallenge {
  std::string scheme;
  std::map<std::string, std::string> parameters;
};
// All challenges of a header; what does not parse is left out.
std::vector<AuthChallenge> ParseChallenges(std::string_view header);

// Authorization headers by host, identity and scope. Thread-safe.
class TokenCache {
 public:
  std::string Find(const std::string& key);
  // `seconds` <= 0 means a minute.
  void Put(const std::string& key, std::string header, int64_t seconds);

 private:
  struct Entry {
    std::string header;
    std::chrono::steady_clock::time_point until;
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

struct AuthAnswer {
  std::string header;       // "Bearer …" or "Basic …"
  int64_t seconds = 0;
};
// The header that answers a challenge. The texts of failures are the reference's.
StatusOr<AuthAnswer> AnswerChallenge(HttpClient& client, const AuthChallenge& challenge,
                                     const std::string& host, const std::string& scope,
                                     RegistryAuth* auth, const HttpRequest& like);

}  // namespace kiln::oci
