#include "cache/index/memory_key_index.h"

#include <utility>

namespace kiln::cache {

bool MemoryKeyIndex::Exists(std::string_view key) {
  std::lock_guard lock(mutex_);
  auto it = nodes_.find(std::string(key));
  return it != nodes_.end() && !it->second.bare();
}

void MemoryKeyIndex::PutResult(std::string_view key, const KeyResult& result) {
  std::lock_guard lock(mutex_);
  nodes_[std::string(key)].results.insert_or_assign(result.id, result.created);
  by_result_[result.id].insert(std::string(key));
}

Status MemoryKeyIndex::AddResult(std::string_view key, const KeyResult& result) {
  PutResult(key, result);
  return OkStatus();
}

StatusOr<std::vector<KeyResult>> MemoryKeyIndex::Results(std::string_view key) {
  std::lock_guard lock(mutex_);
  std::vector<KeyResult> results;
  auto it = nodes_.find(std::string(key));
  if (it != nodes_.end()) {
    for (const auto& [id, created] : it->second.results) results.push_back({id, created});
  }
  return results;
}

StatusOr<std::vector<std::string>> MemoryKeyIndex::KeysOf(std::string_view result_id) {
  std::lock_guard lock(mutex_);
  auto it = by_result_.find(std::string(result_id));
  if (it == by_result_.end()) return std::vector<std::string>{};
  return std::vector<std::string>(it->second.begin(), it->second.end());
}

// Removes `key` if nothing hangs on it, then looks at its parents the same way.
void MemoryKeyIndex::Prune(const std::string& key, std::vector<std::string>* removed) {
  std::vector<std::string> open = {key};
  while (!open.empty()) {
    std::string next = std::move(open.back());
    open.pop_back();
    auto it = nodes_.find(next);
    if (it == nodes_.end() || !it->second.bare()) continue;
    auto backlinks = std::move(it->second.backlinks);
    nodes_.erase(it);
    for (const auto& [parent, links] : backlinks) {
      auto above = nodes_.find(parent);
      if (above == nodes_.end()) continue;
      for (const KeyLink& link : links) {
        auto slot = above->second.links.find(link);
        if (slot == above->second.links.end()) continue;
        slot->second.erase(next);
        if (slot->second.empty()) above->second.links.erase(slot);
      }
      open.push_back(parent);
    }
    removed->push_back(std::move(next));
  }
}

std::vector<std::string> MemoryKeyIndex::Drop(std::string_view result_id) {
  std::lock_guard lock(mutex_);
  std::vector<std::string> removed;
  auto it = by_result_.find(std::string(result_id));
  if (it == by_result_.end()) return removed;
  std::set<std::string> keys = std::move(it->second);
  by_result_.erase(it);
  for (const std::string& key : keys) {
    auto node = nodes_.find(key);
    if (node == nodes_.end()) continue;
    node->second.results.erase(std::string(result_id));
    Prune(key, &removed);
  }
  return removed;
}

void MemoryKeyIndex::ReleaseUnless(const std::function<bool(std::string_view)>& exists) {
  std::vector<std::string> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, keys] : by_result_) all.push_back(id);
  }
  for (const std::string& id : all) {
    if (!id.empty() && !exists(id)) Release(id, "its files were lost").IgnoreError();
  }
}

Status MemoryKeyIndex::Release(std::string_view result_id, std::string_view) {
  Drop(result_id);
  return OkStatus();
}

bool MemoryKeyIndex::PutLink(std::string_view parent, const KeyLink& link, std::string_view key) {
  std::lock_guard lock(mutex_);
  std::string from(parent), to(key);
  bool added = nodes_[from].links[link].insert(to).second;
  if (added) nodes_[to].backlinks[from].insert(link);
  return added;
}

Status MemoryKeyIndex::AddLink(std::string_view parent, const KeyLink& link,
                               std::string_view key) {
  PutLink(parent, link, key);
  return OkStatus();
}

bool MemoryKeyIndex::HasLink(std::string_view parent, const KeyLink& link, std::string_view key) {
  std::lock_guard lock(mutex_);
  auto it = nodes_.find(std::string(parent));
  if (it == nodes_.end()) return false;
  auto slot = it->second.links.find(link);
  return slot != it->second.links.end() && slot->second.contains(std::string(key));
}

StatusOr<std::vector<std::string>> MemoryKeyIndex::Links(std::string_view parent,
                                                         const KeyLink& link) {
  std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  auto it = nodes_.find(std::string(parent));
  if (it != nodes_.end()) {
    if (auto slot = it->second.links.find(link); slot != it->second.links.end()) {
      keys.assign(slot->second.begin(), slot->second.end());
    }
  }
  return keys;
}

Status MemoryKeyIndex::Backlinks(
    std::string_view key, const std::function<void(std::string_view, const KeyLink&)>& visit) {
  std::vector<std::pair<std::string, KeyLink>> found;
  {
    std::lock_guard lock(mutex_);
    auto it = nodes_.find(std::string(key));
    if (it != nodes_.end()) {
      for (const auto& [parent, links] : it->second.backlinks) {
        for (const KeyLink& link : links) found.emplace_back(parent, link);
      }
    }
  }
  for (const auto& [parent, link] : found) visit(parent, link);  // outside the lock: may ask again
  return OkStatus();
}

size_t MemoryKeyIndex::size() {
  std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const auto& [key, node] : nodes_) count += node.bare() ? 0 : 1;
  return count;
}

}  // namespace kiln::cache
