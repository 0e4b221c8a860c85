// Tests of the default policy and of how much a prune keeps. Figures follow from
// the reference's configuration defaults.
#include "cache/gc_policy.h"

#include <gtest/gtest.h>

namespace kiln::cache {
namespace {

constexpr int64_t kTerabyte = 1'000'000'000'000;

TEST(GcPolicy, DefaultsAreCappedOnLargeDisks) {
  std::vector<GcPolicy> policy = DefaultGcPolicy({}, {kTerabyte, kTerabyte, kTerabyte});
  ASSERT_EQ(policy.size(), 4U);
  EXPECT_EQ(policy[0].filters.size(), 3U);
  EXPECT_EQ(policy[0].keep_duration_nanos, int64_t{172800} * 1'000'000'000);
  EXPECT_EQ(policy[0].max_used_bytes, 512'000'000);
  EXPECT_EQ(policy[1].keep_duration_nanos, int64_t{5184000} * 1'000'000'000);
  EXPECT_EQ(policy[2].reserved_bytes, 10'000'000'000);
  EXPECT_EQ(policy[2].max_used_bytes, 100'000'000'000);
  EXPECT_EQ(policy[2].min_free_bytes, 187'000'000'000);
  EXPECT_FALSE(policy[2].all);
  EXPECT_TRUE(policy[3].all);
}

TEST(GcPolicy, PercentagesAreRoundedUp) {
  DiskSpace disk{int64_t{10} << 30, 0, 0};
  EXPECT_EQ((StorageAmount{0, 10}.AsBytes(disk)), 2'000'000'000);
  EXPECT_EQ((StorageAmount{0, 5}.AsBytes(disk)), 1'000'000'000);
  EXPECT_EQ((StorageAmount{0, 10}.AsBytes({})), 2'000'000'000);
}

TEST(GcPolicy, AmountsParse) {
  EXPECT_EQ(StorageAmount::Parse("10%").value().percentage, 10);
  EXPECT_EQ(StorageAmount::Parse("512MB").value().bytes, 512 << 20);
  EXPECT_EQ(StorageAmount::Parse("1.5g").value().bytes, int64_t{3} << 29);
  EXPECT_EQ(StorageAmount::Parse("1000").value().bytes, 1000);
  EXPECT_EQ(StorageAmount::Parse("x").status().message(), "invalid disk space x");
}

TEST(KeepBytes, TheReserveWinsOverEverything) {
  DiskSpace disk{1000, 100, 100};
  PruneOptions options;
  EXPECT_EQ(KeepBytes(500, disk, options), 0);
  options.min_free_bytes = 150;
  EXPECT_EQ(KeepBytes(500, disk, options), 450);
  options.max_used_bytes = 400;
  EXPECT_EQ(KeepBytes(500, disk, options), 400);
  options.reserved_bytes = 480;
  EXPECT_EQ(KeepBytes(500, disk, options), 480);
  PruneOptions enough;
  enough.min_free_bytes = 50;
  EXPECT_EQ(KeepBytes(500, disk, enough), 500);
}

}  // namespace
}  // namespace kiln::cache
