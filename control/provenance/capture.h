// Capture: what went into one result: its request, its sources, what its steps
// were given. Filled while a build runs; predicate.h turns it into a document.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/platform.h"
#include "base/status.h"
#include "llb/graph.h"

namespace kiln::control {

struct ImageUse {
  std::string ref;
  std::optional<Platform> platform;
  Digest digest;
  bool local = false;  // from a client's layout
};
struct BlobUse {
  std::string ref;
  Digest digest;
  bool local = false;
};
struct GitUse {
  std::string url;  // with its ref
  std::string commit;
  std::string bundle = {};
};
struct HttpUse {
  std::string url;
  Digest digest;
};
struct Sources {
  std::vector<ImageUse> images;
  std::vector<BlobUse> blobs;
  std::vector<GitUse> git;
  std::vector<HttpUse> http;
  std::vector<std::string> locals;
};

// A secret or an agent.
struct NameUse {
  std::string id;
  bool optional = false;
  bool operator==(const NameUse&) const = default;
};

// Where the instructions of a build came from.
struct ConfigSource {
  std::string uri;
  std::map<std::string, std::string> digest;
  std::string path;
  bool operator==(const ConfigSource&) const = default;
};

struct RequestUse;
using RequestUsePtr = std::shared_ptr<const RequestUse>;

// What a frontend was asked. Requests within it are shared and never change.
struct Parameters {
  std::string frontend;
  std::map<std::string, std::string> args;
  std::vector<NameUse> secrets;
  std::vector<NameUse> ssh;
  std::vector<std::string> locals;
  std::map<std::string, RequestUsePtr> inputs;
  RequestUsePtr root;
  int compatibility_version = 0;
};
struct RequestUse {
  ConfigSource config;
  Parameters request;
};
bool SameRequest(const RequestUse& a, const RequestUse& b);

// A request of a step through the proxy that is no material.
struct ProxyGapUse {
  std::string op;    // digest of the step
  std::string name;  // its command
  std::string method;
  std::string uri;
  std::string reason;
};

// A plain value.
struct Capture {
  Parameters request;
  Sources sources;
  bool network_access = false;
  bool incomplete_materials = false;
  bool proxy_network = false;            // some step reached the network by the proxy only
  std::vector<ProxyGapUse> proxy_gaps;
  std::map<std::string, std::string> usage;  // digest of a step that ran to JSON: what it used

  void AddImage(const ImageUse& image);
  void AddBlob(const BlobUse& blob);
  void AddGit(GitUse git);
  void AddHttp(HttpUse http);
  void AddLocal(const std::string& name);
  void AddSecret(const NameUse& secret);
  void AddSsh(NameUse agent);
  // Everything of `other` but its request's frontend and arguments.
  void Merge(const Capture& other);
  // Drops images known by digest that are also known by tag. Fails on names that do not parse.
  Status OptimizeImages();
  void Sort();
};

// What a source vertex turned out to be: digest or commit, and address.
struct PinnedSource {
  std::string pin;
  std::string url;
};
using FindPin = std::function<std::optional<PinnedSource>(const Digest& vertex)>;

// What a step has fetched through the proxy; only method, uri and reason of the gaps are set.
struct ProxiedStep {
  std::vector<HttpUse> materials;
  std::vector<ProxyGapUse> gaps;
};
using FindProxied = std::function<std::optional<ProxiedStep>(const Digest& vertex)>;

// JSON of what a step that ran has used.
using FindUsage = std::function<std::optional<std::string>(const Digest& vertex)>;

// Of all steps that lead to `edge`. Sources without a pin are left out. `find_proxied` and
// `find_usage` may be empty.
Capture CaptureGraph(const llb::Edge& edge, const FindPin& find_pin,
                     const FindProxied& find_proxied, const FindUsage& find_usage);

// Arguments of a frontend that belong into provenance; credentials in addresses are hidden.
std::map<std::string, std::string> FilterArgs(const std::map<std::string, std::string>& opts);
// A request whose context is one of `sources`, or an address of its own.
RequestUse MakeRequestUse(const std::string& frontend, std::map<std::string, std::string> args,
                          const Sources& sources);

}  // namespace kiln::control
