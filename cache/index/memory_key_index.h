// MemoryKeyIndex: a KeyIndex in memory, and the base of the one on disk.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/index/key_index.h"

namespace kiln::cache {

// Thread-safe; one short lock. All methods but Backlinks and Release take constant
// or logarithmic time.
class MemoryKeyIndex : public KeyIndex {
 public:
  bool Exists(std::string_view key) override;
  Status AddResult(std::string_view key, const KeyResult& result) override;
  StatusOr<std::vector<KeyResult>> Results(std::string_view key) override;
  Status Release(std::string_view result_id, std::string_view rule = {}) override;
  Status AddLink(std::string_view parent, const KeyLink& link, std::string_view key) override;
  bool HasLink(std::string_view parent, const KeyLink& link, std::string_view key) override;
  StatusOr<std::vector<std::string>> Links(std::string_view parent, const KeyLink& link) override;
  Status Backlinks(std::string_view key,
                   const std::function<void(std::string_view, const KeyLink&)>& visit) override;
  StatusOr<std::vector<std::string>> KeysOf(std::string_view result_id) override;
  Status Flush() override { return OkStatus(); }

  // Releases results that are there no more: what a kill between two writes left.
  void ReleaseUnless(const std::function<bool(std::string_view result_id)>& exists);
  size_t size();  // keys that have links or results

 protected:
  // As Release; returns the keys that went with the result.
  std::vector<std::string> Drop(std::string_view result_id);
  void PutResult(std::string_view key, const KeyResult& result);
  // True if the link is new.
  bool PutLink(std::string_view parent, const KeyLink& link, std::string_view key);

 private:
  struct Node {
    std::map<std::string, Time> results;                  // result id → created
    std::map<KeyLink, std::set<std::string>> links;       // → keys
    std::map<std::string, std::set<KeyLink>> backlinks;   // parent → links
    bool bare() const { return results.empty() && links.empty(); }
  };
  using Nodes = std::unordered_map<std::string, Node>;
  void Prune(const std::string& key, std::vector<std::string>* removed);

  std::mutex mutex_;
  Nodes nodes_;
  std::unordered_map<std::string, std::set<std::string>> by_result_;
};

}  // namespace kiln::cache
