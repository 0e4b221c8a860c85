// ProxyConfig: what a step that reaches the network through the proxy only brings along, and
// ProxyCapture: what it then asked the network for.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/status.h"

namespace kiln::worker::proxy {

// A file that the step got whole.
struct ProxyMaterial {
  std::string url;
  Digest digest;  // of the body as it came
};
struct ProxyRequest {
  std::string method;
  std::string url;
  std::string redirect = {};  // where the answer sends to, if it does
  int status = 0;
};
// A request whose answer is no material.
struct ProxyGap {
  std::string method;
  std::string url;
  std::string reason;  // "upstream_error", "unsuccessful_response", …
};

// Thread-safe. URLs are as CaptureUrl makes them: without credentials.
class ProxyCapture {
 public:
  void Add(ProxyMaterial material);
  void Add(ProxyRequest request);
  void Add(ProxyGap gap);

  // With an entry for each address that led to one of them by redirects.
  std::vector<ProxyMaterial> Materials() const;
  std::vector<ProxyRequest> Requests() const;
  std::vector<ProxyGap> Gaps() const;
  // For the log of the step; "" if nothing was asked for.
  std::string LogText() const;

 private:
  mutable std::mutex mutex_;
  std::vector<ProxyMaterial> materials_;
  std::vector<ProxyRequest> requests_;
  std::vector<ProxyGap> gaps_;
};

// What the policies of a build make of a source.
struct PolicyAnswer {
  std::string url;          // the same, or what to fetch instead
  bool has_attrs = false;   // they want more than another address
};
// Asks whether `url` may be fetched; an error says that it may not. Blocks for as long as a
// client thinks, on any thread, and may still run when the step is over.
using ProxyPolicy = std::function<StatusOr<PolicyAnswer>(const std::string& url)>;

struct ProxyConfig {
  ProxyPolicy policy = {};                        // empty: everything is allowed
  std::shared_ptr<ProxyCapture> capture = {};     // null: nobody wants to know
};

}  // namespace kiln::worker::proxy
