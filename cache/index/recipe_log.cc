#include "cache/index/recipe_log.h"

#include "base/strings.h"

namespace kiln::cache {
namespace {

constexpr int64_t kMostPerQuery = 8;

Status ReadInto(Statements& statements, std::string_view sql, std::string_view value, Time before,
                std::vector<StoredRecipe>* out) {
  return statements.Query(sql, {value, before.nanos, kMostPerQuery}, [&](const Row& row) {
    StoredRecipe& found = out->emplace_back();
    found.key = row.Text(0);
    found.recipe.step = row.Text(1);
    found.recipe.slot = row.Text(2);
    found.recipe.body = row.Text(3);
    found.recipe.created = Time{row.Int(4)};
    found.gone = Time{row.Int(5)};
    found.rule = row.Text(6);
    return OkStatus();
  });
}

}  // namespace

// A key has one recipe while its result is there; what is gone stays beside it.
const std::string_view RecipeLog::kSchema =
    "CREATE TABLE key_recipe("
    "  key TEXT NOT NULL, step TEXT NOT NULL, slot TEXT NOT NULL, body BLOB NOT NULL,"
    "  created INTEGER NOT NULL, used INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, rule TEXT NOT NULL DEFAULT '',"
    "  PRIMARY KEY(key, gone));"
    "CREATE INDEX key_recipe_by_step ON key_recipe(step, used);"
    "CREATE INDEX key_recipe_by_slot ON key_recipe(slot, used);"
    "CREATE TABLE build_steps("
    "  build TEXT PRIMARY KEY, created INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE INDEX build_steps_by_time ON build_steps(created);"
    "CREATE TABLE content_files("
    "  content TEXT PRIMARY KEY, created INTEGER NOT NULL, files BLOB NOT NULL);";

StatusOr<std::vector<StoredRecipe>> RecipeLog::Earlier(std::string_view step,
                                                       std::string_view slot, Time before) const {
  std::vector<StoredRecipe> found;
  RETURN_IF_ERROR(database_.Read([&](Statements& statements) -> Status {
    RETURN_IF_ERROR(ReadInto(statements,
                             "SELECT key, step, slot, body, used, gone, rule FROM key_recipe "
                             "WHERE step=? AND created<? ORDER BY used DESC LIMIT ?",
                             step, before, &found));
    return ReadInto(statements,
                    "SELECT key, step, slot, body, used, gone, rule FROM key_recipe "
                    "WHERE slot=? AND created<? ORDER BY used DESC LIMIT ?",
                    slot, before, &found);
  }));
  return found;
}

StatusOr<RecipeLog::BuildSteps> RecipeLog::Steps(std::string_view build) const {
  BuildSteps found;
  auto take = [&](const Row& row) {
    found.build = row.Text(0);
    found.body = row.Text(1);
    return OkStatus();
  };
  RETURN_IF_ERROR(database_.Read([&](Statements& statements) {
    if (build.empty()) {
      return statements.Query(
          "SELECT build, body FROM build_steps ORDER BY created DESC LIMIT 1", {}, take);
    }
    return statements.Query(
        "SELECT build, body FROM build_steps WHERE substr(build, 1, length(?1))=?1 "
        "ORDER BY created LIMIT 1", {build}, take);
  }));
  if (found.build.empty()) return NotFoundError(StrCat("no steps are known of build ", build));
  return found;
}

StatusOr<std::string> RecipeLog::Files(std::string_view content) const {
  std::string files;
  RETURN_IF_ERROR(database_.Read([&](Statements& statements) {
    return statements.Query("SELECT files FROM content_files WHERE content=?", {content},
                            [&](const Row& row) {
                              files = row.Text(0);
                              return OkStatus();
                            });
  }));
  return files;
}

StatusOr<std::vector<std::string>> RecipeLog::KnownFiles() const {
  std::vector<std::string> known;
  RETURN_IF_ERROR(database_.Read([&](Statements& statements) {
    return statements.Query("SELECT content FROM content_files", {}, [&](const Row& row) {
      known.emplace_back(row.Text(0));
      return OkStatus();
    });
  }));
  return known;
}

Status RecipeLog::Trim() {
  return database_.Write([](Statements& statements) -> Status {
    RETURN_IF_ERROR(statements.Run(
        "DELETE FROM key_recipe WHERE gone<>0 AND gone <= ifnull((SELECT gone FROM key_recipe "
        "WHERE gone<>0 ORDER BY gone DESC LIMIT 1 OFFSET 5000), 0)"));
    RETURN_IF_ERROR(statements.Run(
        "DELETE FROM build_steps WHERE created <= ifnull((SELECT created FROM build_steps "
        "ORDER BY created DESC LIMIT 1 OFFSET 100), 0)"));
    return statements.Run(
        "DELETE FROM content_files WHERE created <= ifnull((SELECT created FROM content_files "
        "ORDER BY created DESC LIMIT 1 OFFSET 500), 0)");
  });
}

Status RecipeLog::Write(Statements& statements, std::string_view key, const KeyRecipe& recipe) {
  // Without a body: the key was found again.
  if (recipe.body.empty()) {
    return statements.Run("UPDATE key_recipe SET used=? WHERE key=? AND gone=0",
                          {recipe.created.nanos, key});
  }
  return statements.Run(
      "INSERT OR IGNORE INTO key_recipe(key, step, slot, body, created, used) "
      "VALUES(?,?,?,?,?,?)",
      {key, std::string_view(recipe.step), std::string_view(recipe.slot), SqlBlob{recipe.body},
       recipe.created.nanos, recipe.created.nanos});
}

Status RecipeLog::WriteGone(Statements& statements, std::string_view result,
                            std::string_view rule, Time when) {
  return statements.Run(
      "UPDATE key_recipe SET gone=?, rule=? WHERE gone=0 AND key IN "
      "(SELECT key FROM key_result WHERE result=?)",
      {when.nanos, rule, result});
}

Status RecipeLog::WriteSteps(Statements& statements, std::string_view build, Time created,
                             std::string_view body) {
  return statements.Run("INSERT OR REPLACE INTO build_steps VALUES(?,?,?)",
                        {build, created.nanos, SqlBlob{body}});
}

Status RecipeLog::WriteFiles(Statements& statements, std::string_view content,
                             std::string_view files) {
  return statements.Run("INSERT OR REPLACE INTO content_files VALUES(?,?,?)",
                        {content, Now().nanos, SqlBlob{files}});
}

}  // namespace kiln::cache
