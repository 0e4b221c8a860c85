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
#include <variant>
#include <vector>

#include "cache/database.h"
#include "cache/index/memory_key_index.h"

namespace kiln::cache {

// Thread-safe. Only Open and Flush touch the disk; nothing else waits for it.
class StoredKeyIndex : public MemoryKeyIndex {
 public:
  // `database` must outlive the index.
  static StatusOr<std::unique_ptr<StoredKeyIndex>> Open(Database& database);
  ~StoredKeyIndex() override;  // flushes

  Status AddResult(std::string_view key, const KeyResult& result) override;
  Status Release(std::string_view result_id) override;
  Status AddLink(std::string_view parent, const KeyLink& link, std::string_view key) override;
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
  };
  using Change = std::variant<NewResult, NewLink, Removal>;

  explicit StoredKeyIndex(Database& database) : database_(database) {}
  Status Load();
  static Status Write(Statements& statements, const std::vector<Change>& changes);

  Database& database_;
  std::mutex changes_mutex_;
  std::vector<Change> changes_;  // in the order in which memory saw them
};

}  // namespace kiln::cache
