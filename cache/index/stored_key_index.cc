#include "cache/index/stored_key_index.h"

#include <array>
#include <utility>

#include "base/log.h"

namespace kiln::cache {
namespace {

// The tables are described in docs/dev/cache-keys.md.
const std::array<std::string_view, 2> kSchema = {
    "CREATE TABLE key_result("
    "  key TEXT NOT NULL, result TEXT NOT NULL, created INTEGER NOT NULL,"
    "  PRIMARY KEY(key, result)) WITHOUT ROWID;"
    "CREATE INDEX key_result_by_result ON key_result(result);"
    "CREATE TABLE key_link("
    "  parent TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,"
    "  digest TEXT NOT NULL, selector TEXT NOT NULL, key TEXT NOT NULL,"
    "  PRIMARY KEY(parent, input, output, digest, selector, key)) WITHOUT ROWID;"
    "CREATE INDEX key_link_by_key ON key_link(key);",
    RecipeLog::kSchema};

}  // namespace

StatusOr<std::unique_ptr<StoredKeyIndex>> StoredKeyIndex::Open(Database& database) {
  RETURN_IF_ERROR(database.Migrate("keys", kSchema));
  std::unique_ptr<StoredKeyIndex> index(new StoredKeyIndex(database));
  RETURN_IF_ERROR(index->Load());
  return index;
}

StoredKeyIndex::~StoredKeyIndex() {
  if (Status status = Flush(); !status.ok()) {
    log::Warning("cache keys are lost", {{"error", status.message()}});
  }
}

Status StoredKeyIndex::Load() {
  RETURN_IF_ERROR(recipes_.Trim());
  ASSIGN_OR_RETURN(std::vector<std::string> files, recipes_.KnownFiles());
  files_.insert(files.begin(), files.end());
  return database_.Read([&](Statements& statements) -> Status {
    RETURN_IF_ERROR(statements.Query(
        "SELECT key, result, created FROM key_result", {}, [&](const Row& row) {
          PutResult(row.Text(0), {std::string(row.Text(1)), Time{row.Int(2)}});
          return OkStatus();
        }));
    return statements.Query(
        "SELECT parent, input, output, digest, selector, key FROM key_link", {},
        [&](const Row& row) {
          KeyLink link{row.Int(1), row.Int(2), Digest::Trusted(std::string(row.Text(3))),
                       Digest::Trusted(std::string(row.Text(4)))};
          PutLink(row.Text(0), link, row.Text(5));
          return OkStatus();
        });
  });
}

// Memory changes under the same lock as the buffer, so that the database sees
// additions and removals in the order in which memory did.
Status StoredKeyIndex::AddResult(std::string_view key, const KeyResult& result) {
  std::lock_guard lock(changes_mutex_);
  PutResult(key, result);
  changes_.push_back(NewResult{std::string(key), result});
  return OkStatus();
}

Status StoredKeyIndex::AddLink(std::string_view parent, const KeyLink& link,
                               std::string_view key) {
  std::lock_guard lock(changes_mutex_);
  if (PutLink(parent, link, key)) {
    changes_.push_back(NewLink{std::string(parent), link, std::string(key)});
  }
  return OkStatus();
}

Status StoredKeyIndex::Release(std::string_view result_id, std::string_view rule) {
  std::lock_guard lock(changes_mutex_);
  changes_.push_back(Removal{std::string(result_id), Drop(result_id), std::string(rule)});
  return OkStatus();
}

void StoredKeyIndex::Add(Change change) {
  std::lock_guard lock(changes_mutex_);
  changes_.push_back(std::move(change));
}

Status StoredKeyIndex::AddRecipe(std::string_view key, KeyRecipe recipe) {
  Add(NewRecipe{std::string(key), std::move(recipe)});
  return OkStatus();
}

Status StoredKeyIndex::KeepSteps(std::string_view build, std::string body) {
  Add(NewSteps{std::string(build), std::move(body)});
  return OkStatus();
}

bool StoredKeyIndex::WantsFiles(std::string_view content) {
  std::lock_guard lock(changes_mutex_);
  return !files_.contains(std::string(content));
}

Status StoredKeyIndex::KeepFiles(std::string_view content, std::string files) {
  std::lock_guard lock(changes_mutex_);
  if (files_.insert(std::string(content)).second) {
    changes_.push_back(NewFiles{std::string(content), std::move(files)});
  }
  return OkStatus();
}

Status StoredKeyIndex::Flush() {
  std::future<Status> written;
  {
    // Handed over under the lock: two flushes must not swap their changes.
    std::lock_guard lock(changes_mutex_);
    if (!changes_.empty()) {
      written = database_.WriteLater(
          [changes = std::make_shared<std::vector<Change>>(std::exchange(changes_, {}))](
              Statements& statements) { return Write(statements, *changes); });
    }
  }
  return written.valid() ? written.get() : database_.Flush();
}

Status StoredKeyIndex::Write(Statements& statements, const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    if (const auto* result = std::get_if<NewResult>(&change)) {
      RETURN_IF_ERROR(statements.Run(
          "INSERT OR REPLACE INTO key_result VALUES(?,?,?)",
          {std::string_view(result->key), std::string_view(result->result.id),
           result->result.created.nanos}));
    } else if (const auto* added = std::get_if<NewLink>(&change)) {
      RETURN_IF_ERROR(statements.Run(
          "INSERT OR IGNORE INTO key_link VALUES(?,?,?,?,?,?)",
          {std::string_view(added->parent), added->link.input, added->link.output,
           std::string_view(added->link.digest.text()),
           std::string_view(added->link.selector.text()), std::string_view(added->key)}));
    } else if (const auto* recipe = std::get_if<NewRecipe>(&change)) {
      RETURN_IF_ERROR(RecipeLog::Write(statements, recipe->key, recipe->recipe));
    } else if (const auto* steps = std::get_if<NewSteps>(&change)) {
      RETURN_IF_ERROR(RecipeLog::WriteSteps(statements, steps->build, Now(), steps->body));
    } else if (const auto* files = std::get_if<NewFiles>(&change)) {
      RETURN_IF_ERROR(RecipeLog::WriteFiles(statements, files->content, files->files));
    } else if (const auto* removal = std::get_if<Removal>(&change)) {
      RETURN_IF_ERROR(
          RecipeLog::WriteGone(statements, removal->result_id, removal->rule, Now()));
      RETURN_IF_ERROR(statements.Run("DELETE FROM key_result WHERE result=?",
                                     {std::string_view(removal->result_id)}));
      for (const std::string& key : removal->keys) {
        RETURN_IF_ERROR(
            statements.Run("DELETE FROM key_link WHERE key=?", {std::string_view(key)}));
      }
    }
  }
  return OkStatus();
}

}  // namespace kiln::cache
