// See provenance_scope.h.
#include "control/provenance_scope.h"

#include "llb/proto/ops.pb.h"
#include "llb/state.h"

namespace kiln::control {
namespace {

// Images of other platforms than `id`, if they were resolved for all platforms.
std::vector<ImageUse> ForPlatform(const std::string& id, const std::vector<ImageUse>& images,
                                  const std::vector<std::pair<std::string, Platform>>& platforms) {
  if (platforms.empty()) return images;
  auto has = [&](const std::string& ref, const Platform& platform) {
    Platform wanted = NormalizePlatform(platform);
    for (const ImageUse& image : images) {
      if (image.ref != ref || !image.platform) continue;
      Platform have = NormalizePlatform(*image.platform);
      if (have.os == wanted.os && have.architecture == wanted.architecture &&
          have.variant == wanted.variant) {
        return true;
      }
    }
    return false;
  };
  std::set<std::string> everywhere;
  Platform current;
  for (const auto& [name, platform] : platforms) {
    if (name == id) current = platform;
  }
  for (const ImageUse& image : images) {
    bool all = true;
    for (const auto& [name, platform] : platforms) all = all && has(image.ref, platform);
    if (all) everywhere.insert(image.ref);
  }
  std::vector<ImageUse> out;
  for (const ImageUse& image : images) {
    bool other = everywhere.contains(image.ref) && image.platform &&
                 (image.platform->os != current.os ||
                  image.platform->architecture != current.architecture);
    if (!other) out.push_back(image);
  }
  return out;
}

}  // namespace

uint64_t RequestStore::Add(const pb::Definition& definition, RequestUsePtr request) {
  std::string head = llb::HeadOf(definition);
  if (head.empty() || request == nullptr) return 0;
  std::lock_guard lock(mutex_);
  by_head_[head][++last_] = std::move(request);
  return last_;
}

void RequestStore::Forget(uint64_t id) {
  std::lock_guard lock(mutex_);
  for (auto entry = by_head_.begin(); entry != by_head_.end(); ++entry) {
    if (entry->second.erase(id) == 0) continue;
    if (entry->second.empty()) by_head_.erase(entry);
    return;
  }
}

RequestUsePtr RequestStore::Find(const pb::Definition& definition) {
  std::lock_guard lock(mutex_);
  auto entry = by_head_.find(llb::HeadOf(definition));
  if (entry == by_head_.end()) return nullptr;
  std::shared_ptr<RequestUse> found;
  for (const auto& [id, request] : entry->second) {
    auto copy = std::make_shared<RequestUse>(*request);
    copy->request.root = nullptr;
    if (found != nullptr && !SameRequest(*found, *copy)) return nullptr;
    if (found == nullptr) found = std::move(copy);
  }
  return found;
}

ProvenanceScopePtr ProvenanceScope::Top(ScopeRequest root, RequestStore* store) {
  return ProvenanceScopePtr(new ProvenanceScope(std::nullopt, std::move(root), store));
}

ProvenanceScope::~ProvenanceScope() {
  for (uint64_t id : registered_) store_->Forget(id);
}

ProvenanceScopePtr ProvenanceScope::Child(ScopeRequest request) {
  std::optional<ScopeRequest> root = root_ && !root_->empty() ? root_ : own_;
  ProvenanceScopePtr child(new ProvenanceScope(std::move(request), std::move(root), store_));
  std::lock_guard lock(mutex_);
  children_.push_back(child);
  return child;
}

void ProvenanceScope::AddImage(const ImageUse& image) {
  std::lock_guard lock(mutex_);
  images_.push_back(image);
}

void ProvenanceScope::Record(const void* reference, Capture capture) {
  std::lock_guard lock(mutex_);
  if (captures_.insert_or_assign(reference, std::move(capture)).second) {
    order_.push_back(reference);
  }
}

void ProvenanceScope::Register(const void* reference, const pb::Definition& definition) {
  if (store_ == nullptr || !own_) return;
  Sources sources;
  {
    std::lock_guard lock(mutex_);
    if (auto known = captures_.find(reference); known != captures_.end()) {
      sources = known->second.sources;
    }
  }
  auto use = std::make_shared<RequestUse>(
      MakeRequestUse(own_->frontend, FilterArgs(own_->opts), sources));
  use->request.inputs = InputUses(*own_);
  RequestUsePtr root = RootUse(sources);
  if (root != nullptr && !SameRequest(*root, *use)) use->request.root = root;
  uint64_t id = store_->Add(definition, std::move(use));
  if (id == 0) return;
  std::lock_guard lock(mutex_);
  registered_.push_back(id);
}

std::map<std::string, RequestUsePtr> ProvenanceScope::InputUses(const ScopeRequest& request) const {
  std::map<std::string, RequestUsePtr> uses;
  if (store_ == nullptr) return uses;
  for (const auto& [name, definition] : request.inputs) {
    if (definition == nullptr) continue;
    if (RequestUsePtr use = store_->Find(*definition)) uses[name] = std::move(use);
  }
  return uses;
}

RequestUsePtr ProvenanceScope::RootUse(const Sources& sources) const {
  if (!root_ || root_->empty()) return nullptr;
  auto use = std::make_shared<RequestUse>(
      MakeRequestUse(root_->frontend, FilterArgs(root_->opts), sources));
  use->request.inputs = InputUses(*root_);
  const Parameters& request = use->request;
  if (request.frontend.empty() && request.args.empty() && request.inputs.empty()) return nullptr;
  return use;
}

// With the request of the scope that was asked, which may be further out.
std::optional<Capture> ProvenanceScope::Of(const void* reference,
                                           const ProvenanceScope& asked) const {
  std::optional<Capture> capture;
  {
    std::lock_guard lock(mutex_);
    auto known = captures_.find(reference);
    if (known == captures_.end()) return std::nullopt;
    capture = known->second;
  }
  if (!asked.own_) return capture;
  Parameters& request = capture->request;
  request.frontend = asked.own_->frontend;
  request.args = FilterArgs(asked.own_->opts);
  request.inputs = asked.InputUses(*asked.own_);
  if (RequestUsePtr root = asked.RootUse(capture->sources)) {
    RequestUse own = MakeRequestUse(request.frontend, request.args, capture->sources);
    own.request.inputs = request.inputs;
    if (!SameRequest(*root, own)) request.root = std::move(root);
  }
  return capture;
}

void ProvenanceScope::CollectOthers(const ProvenanceScope& asked, std::set<const void*>* seen,
                                    std::vector<Capture>* out) const {
  std::vector<const void*> own;
  std::vector<ProvenanceScopePtr> children;
  {
    std::lock_guard lock(mutex_);
    own = order_;
    children = children_;
  }
  for (const void* reference : own) {
    if (!seen->insert(reference).second) continue;
    if (auto capture = Of(reference, asked)) out->push_back(*std::move(capture));
  }
  for (const ProvenanceScopePtr& child : children) child->CollectOthers(asked, seen, out);
}

void ProvenanceScope::CollectImages(std::vector<ImageUse>* out) const {
  std::vector<ProvenanceScopePtr> children;
  {
    std::lock_guard lock(mutex_);
    out->insert(out->end(), images_.begin(), images_.end());
    children = children_;
  }
  for (const ProvenanceScopePtr& child : children) child->CollectImages(out);
}

StatusOr<std::optional<Capture>> ProvenanceScope::Assemble(
    const void* reference, const std::string& id, const std::set<const void*>& results,
    const std::vector<std::pair<std::string, Platform>>& platforms) const {
  std::optional<Capture> capture = Of(reference, *this);
  if (!capture) return capture;
  std::set<const void*> seen = results;
  seen.insert(reference);
  std::vector<Capture> others;
  CollectOthers(*this, &seen, &others);
  for (const Capture& other : others) capture->Merge(other);
  std::vector<ImageUse> images;
  CollectImages(&images);
  if (!id.empty()) images = ForPlatform(id, images, platforms);
  for (const ImageUse& image : images) capture->AddImage(image);
  RETURN_IF_ERROR(capture->OptimizeImages());
  capture->Sort();
  return capture;
}

}  // namespace kiln::control
