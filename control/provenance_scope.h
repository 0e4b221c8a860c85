// ProvenanceScope: what one bridge of a build was asked and what it resolved.
//
// Scopes form a tree as frontends do: each nested frontend has its own. A result's
// provenance is put together from the scope in which it was made.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/provenance/capture.h"
#include "frontend/bridge.h"

namespace kiln::control {

// A frontend's request; empty if a client drives the build by itself.
struct ScopeRequest {
  std::string frontend;
  frontend::StringMap opts;
  std::map<std::string, frontend::DefinitionPtr> inputs;
  bool empty() const { return frontend.empty() && opts.empty() && inputs.empty(); }
};

// Requests that made the definitions which other requests have as inputs. Of all
// builds of the daemon; thread-safe.
class RequestStore {
 public:
  // Returns an id for Forget; 0 for definitions without a step.
  uint64_t Add(const pb::Definition& definition, RequestUsePtr request);
  void Forget(uint64_t id);
  // Null if nobody made it, or different requests did.
  RequestUsePtr Find(const pb::Definition& definition);

 private:
  std::mutex mutex_;
  uint64_t last_ = 0;
  std::map<std::string, std::map<uint64_t, RequestUsePtr>> by_head_;
};

class ProvenanceScope;
using ProvenanceScopePtr = std::shared_ptr<ProvenanceScope>;

// Thread-safe. `store` outlives all scopes; it may be null.
class ProvenanceScope {
 public:
  // The top of a build: what is asked by its client is the root of all requests.
  static ProvenanceScopePtr Top(ScopeRequest root, RequestStore* store);
  ~ProvenanceScope();

  // The scope of a nested frontend. Lives as long as this one.
  ProvenanceScopePtr Child(ScopeRequest request);

  void AddImage(const ImageUse& image);
  // What an evaluated reference is made of; `reference` only names it.
  void Record(const void* reference, Capture capture);
  // Makes the request known as the origin of a definition, for as long as the scope lives.
  void Register(const void* reference, const pb::Definition& definition);

  // Everything that went into `reference`, one of this scope, as the result of platform
  // `id` ("" if there is only one) among `results`. Nothing if it was not evaluated.
  StatusOr<std::optional<Capture>> Assemble(const void* reference, const std::string& id,
                                            const std::set<const void*>& results,
                                            const std::vector<std::pair<std::string, Platform>>&
                                                platforms) const;

 private:
  ProvenanceScope(std::optional<ScopeRequest> own, std::optional<ScopeRequest> root,
                  RequestStore* store)
      : own_(std::move(own)), root_(std::move(root)), store_(store) {}
  std::optional<Capture> Of(const void* reference, const ProvenanceScope& asked) const;
  RequestUsePtr RootUse(const Sources& sources) const;
  std::map<std::string, RequestUsePtr> InputUses(const ScopeRequest& request) const;
  void CollectOthers(const ProvenanceScope& asked, std::set<const void*>* seen,
                     std::vector<Capture>* out) const;
  void CollectImages(std::vector<ImageUse>* out) const;

  const std::optional<ScopeRequest> own_;   // unset at the top
  const std::optional<ScopeRequest> root_;
  RequestStore* const store_;
  mutable std::mutex mutex_;
  std::map<const void*, Capture> captures_;
  std::vector<const void*> order_;  // as recorded
  std::vector<ImageUse> images_;
  std::vector<ProvenanceScopePtr> children_;
  std::vector<uint64_t> registered_;
};

}  // namespace kiln::control
