// Tests of the database: grouping, rollback, migrations, damage.
#include "cache/database.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/file.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kSteps[] = {"CREATE TABLE t(k TEXT PRIMARY KEY, v INTEGER);",
                                       "ALTER TABLE t ADD COLUMN w BLOB;"};

class DatabaseTest : public testing::Test {
 protected:
  std::string path() const { return temp_.path() + "/sub/index.db"; }
  std::unique_ptr<Database> Open() {
    StatusOr<std::unique_ptr<Database>> database = Database::Open(path());
    KILN_CHECK(database.ok());
    KILN_CHECK((*database)->Migrate("test", kSteps).ok());
    return *std::move(database);
  }
  static int64_t Count(Database& database) {
    int64_t count = -1;
    EXPECT_TRUE(database.Read([&](Statements& sql) {
      return sql.Query("SELECT count(*) FROM t", {}, [&](const Row& row) {
        count = row.Int(0);
        return OkStatus();
      });
    }).ok());
    return count;
  }
  TempDir temp_{std::move(MakeTempDir("/tmp", "database-")).value()};
};

Status Insert(Statements& sql, std::string_view key) {
  return sql.Run("INSERT INTO t(k,v,w) VALUES(?,1,?)", {key, SqlBlob{std::string_view("\0x", 2)}});
}

TEST_F(DatabaseTest, WritesAreThereAfterReopening) {
  ASSERT_TRUE(Open()->Write([](Statements& sql) { return Insert(sql, "a"); }).ok());
  std::unique_ptr<Database> again = Open();
  EXPECT_EQ(Count(*again), 1);
  ASSERT_TRUE(again->Read([](Statements& sql) {
    return sql.Query("SELECT w FROM t", {}, [](const Row& row) {
      EXPECT_EQ(row.Text(0), std::string_view("\0x", 2));
      return OkStatus();
    });
  }).ok());
}

TEST_F(DatabaseTest, QueuedWritesAreDoneBeforeItCloses) {
  {
    std::unique_ptr<Database> database = Open();
    for (int i = 0; i < 50; ++i) {
      database->WriteLater([i](Statements& sql) { return Insert(sql, StrCat("k", i)); });
    }
  }
  EXPECT_EQ(Count(*Open()), 50);
}

TEST_F(DatabaseTest, AFailedWriteTakesNoOtherWithIt) {
  std::unique_ptr<Database> database = Open();
  std::vector<std::future<Status>> done;
  for (int i = 0; i < 100; ++i) {
    done.push_back(database->WriteLater([i](Statements& sql) -> Status {
      RETURN_IF_ERROR(Insert(sql, StrCat("k", i)));
      return i % 2 == 0 ? OkStatus() : NotFoundError("odd");
    }));
  }
  int failed = 0;
  for (std::future<Status>& one : done) failed += one.get().ok() ? 0 : 1;
  EXPECT_EQ(failed, 50);
  EXPECT_EQ(Count(*database), 50);
}

TEST_F(DatabaseTest, ConstraintViolationsAreAlreadyExists) {
  std::unique_ptr<Database> database = Open();
  auto insert = [](Statements& sql) { return Insert(sql, "a"); };
  ASSERT_TRUE(database->Write(insert).ok());
  EXPECT_EQ(database->Write(insert).code(), StatusCode::kAlreadyExists);
}

TEST_F(DatabaseTest, ReadersAndWritersOfManyThreadsAgree) {
  std::unique_ptr<Database> database = Open();
  std::vector<std::thread> threads;
  std::atomic<int> bad = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        std::string key = StrCat(t, "-", i);
        if (!database->Write([&](Statements& sql) { return Insert(sql, key); }).ok()) ++bad;
        bool seen = false;
        database->Read([&](Statements& sql) {
          return sql.Query("SELECT 1 FROM t WHERE k=?", {std::string_view(key)}, [&](const Row&) {
            seen = true;
            return OkStatus();
          });
        }).IgnoreError();
        if (!seen) ++bad;  // one's own committed write is visible
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(Count(*database), 400);
  EXPECT_TRUE(database->CheckIntegrity().ok());
  EXPECT_TRUE(database->Flush(true).ok());
}

TEST_F(DatabaseTest, ReadersCannotWrite) {
  std::unique_ptr<Database> database = Open();
  EXPECT_FALSE(database->Read([](Statements& sql) { return Insert(sql, "a"); }).ok());
  EXPECT_EQ(Count(*database), 0);
}

TEST_F(DatabaseTest, ALaterVersionIsRefused) {
  Open().reset();
  StatusOr<std::unique_ptr<Database>> database = Database::Open(path());
  ASSERT_TRUE(database.ok());
  EXPECT_EQ((*database)->Migrate("test", std::span(kSteps, 1)).code(),
            StatusCode::kFailedPrecondition);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsDataLoss) {
  ASSERT_TRUE(MakeDirs(temp_.path() + "/sub").ok());
  ASSERT_TRUE(WriteFileAtomic(path(), std::string(8192, 'x')).ok());
  EXPECT_EQ(Database::Open(path()).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace kiln::cache
