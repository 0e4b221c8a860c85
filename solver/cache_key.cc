#include "solver/cache_key.h"

#include "base/strings.h"

namespace kiln::solver {

Digest RootKey(const Digest& digest, int64_t output) {
  if (digest.algorithm() == "random") return digest;
  return Digest::Of(StrCat(digest.text(), "@", output));
}

CacheKeyPtr CacheKey::Content(const Digest& digest) {
  return std::make_shared<const CacheKey>(digest, kContentOutput, Digest());
}

// Keys form chains as deep as builds; freed one inside the other they would use
// up the stack.
CacheKey::~CacheKey() {
  std::vector<CacheKeyPtr> open;
  auto take = [&open](CacheKey& key) {
    for (auto& dep : key.deps_) {
      for (auto& alternative : dep) open.push_back(std::move(alternative.key));
    }
    key.deps_.clear();
  };
  take(*this);
  while (!open.empty()) {
    CacheKeyPtr next = std::move(open.back());
    open.pop_back();
    if (next.use_count() == 1) take(const_cast<CacheKey&>(*next));
  }
}

const std::string* CacheKey::IdIn(const KeyTable* table) const {
  for (const auto& [owner, id] : ids_) {
    if (owner == table) return &id;
  }
  return nullptr;
}

void CacheKey::SetIdIn(const KeyTable* table, std::string id) const {
  for (auto& [owner, old] : ids_) {
    if (owner == table) {
      old = std::move(id);
      return;
    }
  }
  ids_.emplace_back(table, std::move(id));
}

}  // namespace kiln::solver
