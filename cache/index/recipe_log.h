// RecipeLog: the recipes of keys and the steps of builds, as tables of the database.
//
// Written by StoredKeyIndex in the transaction that writes the keys; read by who
// explains a miss. Outlives the keys: what was pruned can still be compared with.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cache/database.h"
#include "cache/index/key_index.h"

namespace kiln::cache {

struct StoredRecipe {
  std::string key;
  KeyRecipe recipe;
  Time gone;         // when its result went; unset if it is there
  std::string rule;  // … and why
};

// Thread-safe. Reads go to the disk.
class RecipeLog {
 public:
  explicit RecipeLog(Database& database) : database_(database) {}
  static const std::string_view kSchema;

  // The newest recipes of the same step, or of the same place in a build, from before
  // a time.
  StatusOr<std::vector<StoredRecipe>> Earlier(std::string_view step, std::string_view slot,
                                              Time before) const;
  struct BuildSteps {
    std::string build;
    std::string body;
  };
  // Of the build whose id is or starts with `build`; of the last one if that is empty.
  // NOT_FOUND.
  StatusOr<BuildSteps> Steps(std::string_view build) const;
  // What was kept of a content digest; "" if nothing was.
  StatusOr<std::string> Files(std::string_view content) const;
  StatusOr<std::vector<std::string>> KnownFiles() const;
  // Forgets what is old. Cheap; called at start.
  Status Trim();

  static Status Write(Statements& statements, std::string_view key, const KeyRecipe& recipe);
  static Status WriteGone(Statements& statements, std::string_view result, std::string_view rule,
                          Time when);
  static Status WriteSteps(Statements& statements, std::string_view build, Time created,
                           std::string_view body);
  static Status WriteFiles(Statements& statements, std::string_view content,
                           std::string_view files);

 private:
  Database& database_;
};

}  // namespace kiln::cache
