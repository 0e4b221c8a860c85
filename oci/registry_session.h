// One request to a registry with all that goes with it: token, redirects, retries, the
// limit of transfers per host. For registry.cc and registry_push.cc only.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "oci/http_client.h"
#include "oci/registry.h"
#include "oci/registry_auth.h"
#include "oci/registry_hosts.h"

namespace kiln::oci {

// Four transfers at a time per host.
class TransferSlots {
 public:
  // Waits for a slot; it is free again when the result is dropped. CANCELLED when stopped.
  StatusOr<std::shared_ptr<void>> Take(const std::string& host, std::stop_token stop);

 private:
  std::mutex mutex_;
  std::condition_variable_any free_;
  std::map<std::string, int> used_;
};

struct Registry::State : std::enable_shared_from_this<Registry::State> {
  RegistryHosts hosts;
  HttpClient client;
  TokenCache tokens;
  TransferSlots slots;

  // `path` is what follows the repository ("/manifests/latest"), or an absolute URL.
  // `body` (optional) is called anew for each try.
  struct Ask {
    std::string method = "GET";
    std::string path;
    std::map<std::string, std::string> headers = {};
    std::string body = {};
    std::function<StatusOr<ReadFn>()> stream = {};
    int64_t stream_size = 0;
    bool push = false;
    std::string pull_from = {};  // another repository that the call needs to read
  };
  StatusOr<std::unique_ptr<HttpResponse>> Do(const RegistryCall& call, Endpoint& endpoint,
                                             const Ask& ask);

 private:
  StatusOr<std::unique_ptr<HttpResponse>> Follow(HttpRequest request, const Ask& ask);
  Status Authorize(const RegistryCall& call, const Endpoint& endpoint, const std::string& scope,
                   const std::string& key, const HttpRequest& request,
                   const HttpResponse& response, bool again);
};

// "unexpected status from HEAD request to URL: 500 Internal Server Error", with what the
// registry says in its body.
Status UnexpectedStatus(const std::string& method, const std::string& url, HttpResponse& response);
std::string AskUrl(const Endpoint& endpoint, const RegistryCall& call, const std::string& path);

}  // namespace kiln::oci
