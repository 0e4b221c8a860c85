// StoredKeyIndex: a KeyIndex whose tables are in the database.
//
// All of it is held in memory, read at Open; what is added waits in a buffer and
// goes to the database as one write at Flush. A crash before Flush forgets keys,
// never half of a key: a link without its target is harmless and found by nobody.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>
#include <vector>

#include "cache/database.h"
#include "cache/index/memory_key_index.h"
#include "cache/index/recipe_log.h"

namespace kiln::cache {

// Thread-safe. Only Open and Flush touch the disk; nothing else waits for it.
class StoredKeyIndex : public MemoryKeyIndex {
 public:
  // `database` must outlive the index.
  static StatusOr<std::unique_ptr<StoredKeyIndex>> Open(Database& database);
  ~StoredKeyIndex() override;  // flushes

  Status AddResult(std::string_view key, const KeyResult& result) override;
  Status Release(std::string_view result_id, std::string_view rule = {}) override;
  Status AddLink(std::string_view parent, const KeyLink& link, std::string_view key) override;
  Status AddRecipe(std::string_view key, KeyRecipe recipe) override;
  Status KeepSteps(std::string_view build, std::string body) override;
  bool WantsFiles(std::string_view content) override;
  Status KeepFiles(std::string_view content, std::string files) override;
  const RecipeLog* recipes() const override { return &recipes_; }
  Status Flush() override;

 private:
  struct NewResult {
    std::string key;
    KeyResult result;
  };
  struct NewLink {
    std::string parent;
    KeyLink link;
    std::string key;
  };
  struct Removal {
    std::string result_id;
    std::vector<std::string> keys;  // keys that went with it
    std::string rule;
  };
  struct NewRecipe {
    std::string key;
    KeyRecipe recipe;
  };
  struct NewSteps {
    std::string build;
    std::string body;
  };
  struct NewFiles {
    std::string content;
    std::string files;
  };
  using Change = std::variant<NewResult, NewLink, Removal, NewRecipe, NewSteps, NewFiles>;

  explicit StoredKeyIndex(Database& database) : database_(database), recipes_(database) {}
  Status Load();
  void Add(Change change);
  static Status Write(Statements& statements, const std::vector<Change>& changes);

  Database& database_;
  RecipeLog recipes_;
  std::mutex changes_mutex_;
  std::unordered_set<std::string> files_;  // contents that are known
  std::vector<Change> changes_;  // in the order in which memory saw them
};

}  // namespace kiln::cache
