// One suite for both indexes, and what only the stored one promises.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "cache/index/memory_key_index.h"
#include "cache/index/stored_key_index.h"

namespace kiln::cache {
namespace {

using ::testing::TestWithParam;

class KeyIndexTest : public TestWithParam<bool> {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/kiln-index-XXXXXX";
    dir_ = ::mkdtemp(pattern);
    Open();
  }
  void TearDown() override {
    index_.reset();
    database_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Open() {
    index_.reset();
    database_.reset();
    if (!GetParam()) {
      index_ = std::make_unique<MemoryKeyIndex>();
      return;
    }
    auto database = Database::Open(dir_ + "/index.db");
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    auto index = StoredKeyIndex::Open(*database_);
    ASSERT_TRUE(index.ok()) << index.status();
    index_ = *std::move(index);
  }
  std::vector<std::string> Backlinks(std::string_view key) {
    std::vector<std::string> parents;
    EXPECT_TRUE(index_
                    ->Backlinks(key, [&](std::string_view parent,
                                         const KeyLink&) { parents.emplace_back(parent); })
                    .ok());
    return parents;
  }

  const KeyLink link_{0, 0, Digest::Of("op"), Digest::Of("selector")};
  std::string dir_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<KeyIndex> index_;
};

TEST_P(KeyIndexTest, AKeyExistsOnceItHasAResultOrALink) {
  EXPECT_FALSE(index_->Exists("a"));

  ASSERT_TRUE(index_->AddLink("a", link_, "b").ok());
  ASSERT_TRUE(index_->AddResult("c", {"r1", Time{5}}).ok());

  EXPECT_TRUE(index_->Exists("a"));
  EXPECT_FALSE(index_->Exists("b"));
  EXPECT_TRUE(index_->Exists("c"));
}

TEST_P(KeyIndexTest, LinksAreFoundByAllOfTheirParts) {
  ASSERT_TRUE(index_->AddLink("a", link_, "b").ok());

  EXPECT_EQ(*index_->Links("a", link_), std::vector<std::string>{"b"});
  EXPECT_TRUE(index_->HasLink("a", link_, "b"));
  EXPECT_FALSE(index_->HasLink("a", link_, "c"));
  for (KeyLink other : {KeyLink{1, 0, link_.digest, link_.selector},
                        KeyLink{0, 1, link_.digest, link_.selector},
                        KeyLink{0, 0, Digest::Of("x"), link_.selector},
                        KeyLink{0, 0, link_.digest, Digest()}}) {
    EXPECT_TRUE(index_->Links("a", other)->empty());
  }
  EXPECT_EQ(Backlinks("b"), std::vector<std::string>{"a"});
}

TEST_P(KeyIndexTest, ReleaseTakesBranchesThatLeadNowhere) {
  // root → middle → leaf, and root → other
  ASSERT_TRUE(index_->AddLink("root", link_, "middle").ok());
  ASSERT_TRUE(index_->AddLink("middle", link_, "leaf").ok());
  ASSERT_TRUE(index_->AddLink("root", link_, "other").ok());
  ASSERT_TRUE(index_->AddResult("leaf", {"r", Time{1}}).ok());
  ASSERT_TRUE(index_->AddResult("other", {"o", Time{1}}).ok());

  ASSERT_TRUE(index_->Release("r").ok());

  EXPECT_FALSE(index_->Exists("leaf"));
  EXPECT_FALSE(index_->Exists("middle"));
  EXPECT_TRUE(index_->Exists("root"));
  EXPECT_EQ(*index_->Links("root", link_), std::vector<std::string>{"other"});
}

TEST_P(KeyIndexTest, AResultIsReleasedFromEveryKey) {
  ASSERT_TRUE(index_->AddResult("a", {"r", Time{1}}).ok());
  ASSERT_TRUE(index_->AddResult("b", {"r", Time{1}}).ok());
  EXPECT_EQ(index_->KeysOf("r")->size(), 2u);

  ASSERT_TRUE(index_->Release("r").ok());

  EXPECT_FALSE(index_->Exists("a"));
  EXPECT_FALSE(index_->Exists("b"));
  EXPECT_TRUE(index_->KeysOf("r")->empty());
}

INSTANTIATE_TEST_SUITE_P(Both, KeyIndexTest, ::testing::Values(false, true),
                         [](const auto& made) { return made.param ? "Stored" : "Memory"; });

class StoredKeyIndexTest : public KeyIndexTest {};

TEST_P(StoredKeyIndexTest, WhatWasFlushedIsThereAfterReopening) {
  ASSERT_TRUE(index_->AddLink("root", link_, "leaf").ok());
  ASSERT_TRUE(index_->AddLink("root", link_, "gone").ok());
  ASSERT_TRUE(index_->AddResult("leaf", {"r", Time{42}}).ok());
  ASSERT_TRUE(index_->AddResult("gone", {"g", Time{43}}).ok());
  ASSERT_TRUE(index_->Flush().ok());
  ASSERT_TRUE(index_->Release("g").ok());
  ASSERT_TRUE(index_->Flush().ok());

  Open();

  EXPECT_EQ(*index_->Links("root", link_), std::vector<std::string>{"leaf"});
  auto results = *index_->Results("leaf");
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].id, "r");
  EXPECT_EQ(results[0].created, Time{42});
  EXPECT_TRUE(index_->Results("gone")->empty());
}

TEST_P(StoredKeyIndexTest, AnEmptyResultIdStandsForScratch) {
  ASSERT_TRUE(index_->AddResult("key", {"", Time{1}}).ok());
  ASSERT_TRUE(index_->Flush().ok());

  Open();

  ASSERT_EQ(index_->Results("key")->size(), 1u);
  EXPECT_EQ(index_->Results("key")->front().id, "");
}

INSTANTIATE_TEST_SUITE_P(Stored, StoredKeyIndexTest, ::testing::Values(true));

}  // namespace
}  // namespace kiln::cache
