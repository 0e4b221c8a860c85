#include "solver/key_table.h"

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <unordered_set>

namespace kiln::solver {
namespace {

// 25 characters as the reference's identities, about 129 bits.
std::string NewKeyId() {
  static thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string id(25, '0');
  for (char& c : id) c = kDigits[random() % kDigits.size()];
  return id;
}

void KeepCommon(std::set<std::string>& ids, const std::set<std::string>& others) {
  std::erase_if(ids, [&](const std::string& id) { return !others.contains(id); });
}

}  // namespace

cache::KeyLink KeyTable::LinkOf(int64_t input, const Digest& digest, int64_t output,
                                const Digest& selector) const {
  if (local()) return {input, output, digest, selector};
  return {input, 0, RootKey(digest, output), selector};
}

std::string KeyTable::FindRoot(const Digest& digest, int64_t output) const {
  std::string id = RootKey(digest, output).text();
  return index_->Exists(id) ? id : std::string();
}

std::vector<std::string> KeyTable::Query(std::span<const KeyWithSelector> keys, int64_t input,
                                         const Digest& digest, int64_t output) const {
  std::set<std::string> all;
  std::vector<std::set<std::string>> found;
  for (const KeyWithSelector& key : keys) {
    std::set<std::string>& mine = found.emplace_back();
    std::string id = Find(*key.key);
    if (id.empty()) continue;
    auto links = index_->Links(id, LinkOf(input, digest, output, key.selector));
    if (links.ok()) mine.insert(links->begin(), links->end());
    all.insert(mine.begin(), mine.end());
  }
  for (size_t i = 0; local() && i < keys.size(); ++i) {
    for (const std::string& id : all) {
      if (found[i].contains(id)) continue;
      index_->AddLink(FindOrMake(*keys[i].key), LinkOf(input, digest, output, keys[i].selector), id)
          .IgnoreError();
    }
  }
  return {all.begin(), all.end()};
}

// Id that needs no look at the inputs.
std::string KeyTable::KnownId(const CacheKey& key) const {
  if (const std::string* id = key.IdIn(this)) return *id;
  return key.deps().empty() ? RootKey(key.digest(), key.output()).text() : std::string();
}

// The key to which some key of each input leads. Ids of the inputs are resolved.
std::string KeyTable::IdFromDeps(const CacheKey& key) const {
  std::set<std::string> matches;
  for (size_t i = 0; i < key.deps().size(); ++i) {
    std::set<std::string> here;
    for (const KeyWithSelector& dep : key.deps()[i]) {
      std::string id = KnownId(*dep.key);
      if (id.empty()) continue;
      auto links = index_->Links(id, LinkOf(static_cast<int64_t>(i), key.digest(), key.output(),
                                            dep.selector));
      if (links.ok()) here.insert(links->begin(), links->end());
    }
    if (i == 0) {
      matches = std::move(here);
    } else {
      KeepCommon(matches, here);
    }
    if (matches.empty()) return "";
  }
  return matches.empty() ? "" : *matches.begin();
}

// Gives `key` and what it is made of their ids, inputs first. Not recursive:
// chains are as long as builds. With `make`, keys unknown to the table get new ids.
void KeyTable::ResolveIds(const CacheKey& key, bool make) const {
  std::unordered_set<const CacheKey*> unknown;
  auto settled = [&](const CacheKey& candidate) {
    return candidate.deps().empty() || candidate.IdIn(this) != nullptr ||
           unknown.contains(&candidate);
  };
  std::vector<const CacheKey*> open = {&key};
  while (!open.empty()) {
    const CacheKey* next = open.back();
    size_t before = open.size();
    if (!settled(*next)) {
      for (const auto& dep : next->deps()) {
        for (const KeyWithSelector& alternative : dep) {
          if (!settled(*alternative.key)) open.push_back(alternative.key.get());
        }
      }
    }
    if (open.size() > before) continue;
    open.pop_back();
    if (settled(*next)) continue;
    std::string id = IdFromDeps(*next);
    if (id.empty() && make) id = NewKeyId();
    // An imported table never changes, so that "none" is an answer for ever.
    if (!id.empty() || !local()) {
      next->SetIdIn(this, std::move(id));
    } else {
      unknown.insert(next);
    }
  }
}

std::string KeyTable::Find(const CacheKey& key) const {
  ResolveIds(key, false);
  return KnownId(key);
}

std::string KeyTable::FindOrMake(const CacheKey& key) const {
  ResolveIds(key, true);
  return KnownId(key);
}

std::vector<CacheRecord> KeyTable::Records(const std::string& id) const {
  std::vector<CacheRecord> records;
  auto results = index_->Results(id);
  if (!results.ok()) return records;
  for (cache::KeyResult& result : *results) {
    records.push_back({source_, std::move(result.id), result.created});
  }
  std::stable_sort(records.begin(), records.end(), [](const CacheRecord& a, const CacheRecord& b) {
    return a.created > b.created;
  });
  return records;
}

Status KeyTable::Save(const CacheKey& key, const cache::KeyResult& result) const {
  RETURN_IF_ERROR(index_->AddResult(FindOrMake(key), result));
  std::vector<const CacheKey*> open = {&key};
  std::unordered_set<const CacheKey*> seen = {&key};
  while (!open.empty()) {
    const CacheKey& next = *open.back();
    open.pop_back();
    std::string id = FindOrMake(next);
    for (size_t i = 0; i < next.deps().size(); ++i) {
      for (const KeyWithSelector& dep : next.deps()[i]) {
        std::string from = FindOrMake(*dep.key);
        cache::KeyLink link = LinkOf(static_cast<int64_t>(i), next.digest(), next.output(),
                                     dep.selector);
        if (index_->HasLink(from, link, id)) continue;
        RETURN_IF_ERROR(index_->AddLink(from, link, id));
        if (seen.insert(dep.key.get()).second) open.push_back(dep.key.get());
      }
    }
  }
  return OkStatus();
}

}  // namespace kiln::solver
