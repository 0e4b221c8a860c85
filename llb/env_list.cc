// Entries that were replaced stay behind as gaps until half of the list is gaps.
#include "llb/env_list.h"

#include "base/strings.h"

namespace kiln::llb {

void EnvList::Set(std::string_view key, std::string value) {
  Delete(key);
  index_.emplace(key, entries_.size());
  entries_.push_back(Entry{std::string(key), std::move(value)});
}

void EnvList::Delete(std::string_view key) {
  auto found = index_.find(key);
  if (found == index_.end()) return;
  entries_[found->second].live = false;
  index_.erase(found);
  if (entries_.size() > 2 * index_.size() + 16) Compact();
}

void EnvList::Compact() {
  std::erase_if(entries_, [](const Entry& entry) { return !entry.live; });
  for (size_t i = 0; i < entries_.size(); ++i) index_[entries_[i].key] = i;
}

std::optional<std::string> EnvList::Get(std::string_view key) const {
  auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  return entries_[found->second].value;
}

std::vector<std::string> EnvList::Keys() const {
  std::vector<std::string> keys;
  keys.reserve(index_.size());
  for (const Entry& entry : entries_) {
    if (entry.live) keys.push_back(entry.key);
  }
  return keys;
}

std::vector<std::string> EnvList::ToArray() const {
  std::vector<std::string> texts;
  texts.reserve(index_.size());
  for (const Entry& entry : entries_) {
    if (entry.live) texts.push_back(StrCat(entry.key, "=", entry.value));
  }
  return texts;
}

}  // namespace kiln::llb
