// Names of cache imports; the numbers are those of the reference's progress.
#include "control/cache_import.h"

#include <gtest/gtest.h>

#include "control/progress_log.h"

namespace kiln::control {
namespace {

TEST(CacheImport, IsNamedByItsReferenceOrByAHashOfItsAttributes) {
  EXPECT_EQ(CacheImportName({"registry", {{"ref", "127.0.0.1:1/x/y"}}}), "127.0.0.1:1/x/y");
  EXPECT_EQ(CacheImportName({"foo", {{"a", "b"}}}), "foo:1705711745385465738");
}

TEST(CacheImport, AnUnknownTypeIsAFailedVertexAndASourceWithoutKeys) {
  auto log = std::make_shared<ProgressLog>();
  auto source = NewCacheImport({"foo", {{"a", "b"}}}, nullptr, log);
  EXPECT_EQ(source->Open({"session"}).message(), "unknown cache importer: foo");
  EXPECT_EQ(source->Open({"session"}).message(), "unknown cache importer: foo");
  auto results = source->keys().Results("sha256:any");
  ASSERT_TRUE(results.ok());
  EXPECT_TRUE(results->empty());
  EXPECT_FALSE(source->name().empty());
}

}  // namespace
}  // namespace kiln::control
