// Rows of the RefStore in the database. What they mean is in record.h.
#include <nlohmann/json.hpp>

#include "cache/record.h"

namespace kiln::cache {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSteps[] = {
    "CREATE TABLE record(id TEXT PRIMARY KEY, kind INTEGER, parents TEXT, mutable INTEGER,"
    " retain INTEGER, equal TEXT, snapshot TEXT, extracted INTEGER, description TEXT,"
    " type INTEGER, created INTEGER, last_used INTEGER, usage_count INTEGER,"
    " tree_bytes INTEGER, blob_bytes INTEGER, blob TEXT, diff_id TEXT, variants TEXT)"
    " WITHOUT ROWID;"
    "CREATE TABLE record_metadata(id TEXT, key TEXT, value BLOB, searchable INTEGER,"
    " PRIMARY KEY(id, key));"
    "CREATE INDEX record_metadata_value ON record_metadata(key, value) WHERE searchable=1;"
    "CREATE TABLE blob_lease(owner TEXT, digest TEXT, PRIMARY KEY(owner, digest)) WITHOUT ROWID;",
    "ALTER TABLE record ADD COLUMN boot TEXT NOT NULL DEFAULT '';",
};

// Only what a layer descriptor can carry.
Json ToJson(const oci::Descriptor& blob) {
  Json json = {{"mediaType", blob.media_type}, {"digest", blob.digest.text()},
               {"size", blob.size}};
  if (!blob.annotations.empty()) json["annotations"] = blob.annotations;
  if (!blob.urls.empty()) json["urls"] = blob.urls;
  return json;
}

oci::Descriptor FromJson(const Json& json) {
  oci::Descriptor blob;
  blob.media_type = json.value("mediaType", "");
  blob.digest = Digest::Trusted(json.value("digest", ""));
  blob.size = json.value("size", int64_t{0});
  if (json.contains("annotations")) {
    blob.annotations = json["annotations"].get<std::map<std::string, std::string>>();
  }
  if (json.contains("urls")) blob.urls = json["urls"].get<std::vector<std::string>>();
  return blob;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// INTERNAL if a document in the row is damaged; nlohmann throws for wrong types.
Status ReadDocuments(std::string_view blob, std::string_view variants, RecordRow* row) {
  try {
    if (!blob.empty()) row->blob = FromJson(Json::parse(blob));
    if (!variants.empty()) {
      for (const Json& one : Json::parse(variants)) row->variants.push_back(FromJson(one));
    }
  } catch (const std::exception& damage) {
    return DataLossError(StrCat("record ", row->id, ": ", damage.what()));
  }
  return OkStatus();
}

Status Insert(Statements& sql, const RecordRow& row) {
  std::string parents = StrJoin(row.parents, ",");
  std::string blob = row.blob ? Dump(ToJson(*row.blob)) : "";
  std::string variants;
  if (!row.variants.empty()) {
    Json list = Json::array();
    for (const oci::Descriptor& one : row.variants) list.push_back(ToJson(one));
    variants = Dump(list);
  }
  return sql.Run("INSERT OR REPLACE INTO record VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                 {std::string_view(row.id), int64_t{static_cast<int>(row.kind)},
                  std::string_view(parents), int64_t{row.is_mutable}, int64_t{row.retain},
                  std::string_view(row.equal), std::string_view(row.snapshot),
                  int64_t{row.extracted}, std::string_view(row.description),
                  int64_t{static_cast<int>(row.type)}, row.created.nanos, row.last_used.nanos,
                  row.usage_count, row.tree_bytes, row.blob_bytes, std::string_view(blob),
                  std::string_view(row.diff_id.digest.text()), std::string_view(variants),
                  std::string_view(row.boot)});
}

RecordRow ReadRow(const Row& row) {
  RecordRow out;
  out.id = row.Text(0);
  out.kind = static_cast<RecordKind>(row.Int(1));
  if (!row.Text(2).empty()) {
    for (std::string_view parent : StrSplit(row.Text(2), ',')) out.parents.emplace_back(parent);
  }
  out.is_mutable = row.Int(3) != 0;
  out.retain = row.Int(4) != 0;
  out.equal = row.Text(5);
  out.snapshot = row.Text(6);
  out.extracted = row.Int(7) != 0;
  out.description = row.Text(8);
  out.type = static_cast<RecordType>(row.Int(9));
  out.created = Time{row.Int(10)};
  out.last_used = Time{row.Int(11)};
  out.usage_count = row.Int(12);
  out.tree_bytes = row.Int(13);
  out.blob_bytes = row.Int(14);
  out.boot = row.Text(18);
  out.diff_id.digest = Digest::Trusted(std::string(row.Text(16)));
  return out;
}

}  // namespace

Status RecordTable::Open() { return database_->Migrate("records", kSteps); }

StatusOr<std::vector<RecordRow>> RecordTable::LoadAll() {
  std::vector<RecordRow> rows;
  auto load = [&](Statements& sql) {
    return sql.Query("SELECT * FROM record", {}, [&](const Row& row) {
      RecordRow record = ReadRow(row);
      Status status = ReadDocuments(row.Text(15), row.Text(17), &record);
      if (status.ok()) rows.push_back(std::move(record));
      return OkStatus();  // a damaged row is left out, and then removed as unknown
    });
  };
  RETURN_IF_ERROR(database_->Read(load));
  return rows;
}

void RecordTable::Save(RecordRow row) {
  database_->WriteSoon([row = std::move(row)](Statements& sql) { return Insert(sql, row); });
}

void RecordTable::Remove(std::string id) {
  database_->WriteSoon([id = std::move(id)](Statements& sql) -> Status {
    RETURN_IF_ERROR(sql.Run("DELETE FROM record WHERE id=?", {std::string_view(id)}));
    return sql.Run("DELETE FROM record_metadata WHERE id=?", {std::string_view(id)});
  });
}

void RecordTable::MoveMetadata(std::string from, std::string to) {
  database_->WriteSoon([from = std::move(from), to = std::move(to)](Statements& sql) {
    return sql.Run("INSERT OR IGNORE INTO record_metadata"
                   " SELECT ?, key, value, 0 FROM record_metadata WHERE id=? AND searchable=0",
                   {std::string_view(to), std::string_view(from)});
  });
  ++moves_;
}

// A value may be on its way from another record: only then is a miss worth a wait.
StatusOr<std::string> RecordTable::GetMetadata(const std::string& id, std::string_view key) {
  StatusOr<std::string> value = ReadMetadata(id, key);
  uint64_t moves = moves_;
  if (value.ok() || moves_done_ >= moves) return value;
  RETURN_IF_ERROR(Flush());
  moves_done_ = moves;
  return ReadMetadata(id, key);
}

StatusOr<std::string> RecordTable::ReadMetadata(const std::string& id, std::string_view key) {
  std::optional<std::string> found;
  auto read = [&](Statements& sql) {
    return sql.Query("SELECT value FROM record_metadata WHERE id=? AND key=?",
                     {std::string_view(id), key}, [&](const Row& row) {
                       found = row.Text(0);
                       return OkStatus();
                     });
  };
  RETURN_IF_ERROR(database_->Read(read));
  if (!found) return NotFoundError(StrCat("metadata ", key, " of ", id, ": not found"));
  return *std::move(found);
}

Status RecordTable::SetMetadata(const std::string& id, std::string_view key,
                                std::string_view value, bool searchable) {
  return database_->Write([&](Statements& sql) {
    return sql.Run("INSERT OR REPLACE INTO record_metadata VALUES(?,?,?,?)",
                   {std::string_view(id), key, SqlBlob{value}, int64_t{searchable}});
  });
}

StatusOr<std::vector<std::string>> RecordTable::Find(std::string_view key,
                                                     std::string_view value) {
  std::vector<std::string> ids;
  auto read = [&](Statements& sql) {
    return sql.Query("SELECT id FROM record_metadata WHERE key=? AND value=? AND searchable=1",
                     {key, SqlBlob{value}}, [&](const Row& row) {
                       ids.emplace_back(row.Text(0));
                       return OkStatus();
                     });
  };
  RETURN_IF_ERROR(database_->Read(read));
  return ids;
}

Status RecordTable::KeepBlobs(std::string_view owner, const std::vector<Digest>& blobs) {
  return database_->Write([&](Statements& sql) -> Status {
    for (const Digest& blob : blobs) {
      RETURN_IF_ERROR(sql.Run("INSERT OR IGNORE INTO blob_lease VALUES(?,?)",
                              {owner, std::string_view(blob.text())}));
    }
    return OkStatus();
  });
}

Status RecordTable::DropBlobs(std::string_view owner) {
  return database_->Write([&](Statements& sql) {
    return sql.Run("DELETE FROM blob_lease WHERE owner=?", {owner});
  });
}

StatusOr<std::vector<Digest>> RecordTable::KeptBlobs() {
  std::vector<Digest> kept;
  auto read = [&](Statements& sql) {
    return sql.Query("SELECT DISTINCT digest FROM blob_lease", {}, [&](const Row& row) {
      kept.push_back(Digest::Trusted(std::string(row.Text(0))));
      return OkStatus();
    });
  };
  RETURN_IF_ERROR(database_->Read(read));
  return kept;
}

}  // namespace kiln::cache
