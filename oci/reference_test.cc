// Image references against tests/golden/llb/references.json.
#include "oci/reference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace kiln::oci {
namespace {

using nlohmann::json;

TEST(Reference, ReadsWhatTheReferenceReads) {
  const json golden =
      json::parse(std::ifstream(KILN_SOURCE_DIR "/tests/golden/llb/references.json"));
  for (const json& item : golden) {
    const StatusOr<Reference> reference = ParseReference(item["input"].get<std::string>());
    if (item.contains("error")) {
      EXPECT_EQ(reference.status().message(), item["error"]) << item;
      continue;
    }
    ASSERT_TRUE(reference.ok()) << item << reference.status();
    EXPECT_EQ(reference->Text(), item["canonical"]) << item;
    EXPECT_EQ(WithDefaultTag(*reference).Text(), item["canonicalWithDefaultTag"]) << item;
    EXPECT_EQ(reference->Familiar(), item["familiar"]) << item;
    EXPECT_EQ(reference->domain, item["domain"]) << item;
    EXPECT_EQ(reference->path, item["path"]) << item;
    EXPECT_EQ(reference->tag, item.value("tag", "")) << item;
    EXPECT_EQ(reference->digest.text(), item.value("digest", "")) << item;
  }
}

TEST(Reference, LongInputIsRefusedAtOnce) {
  EXPECT_FALSE(ParseReference(std::string(1 << 20, 'a') + "@").ok());
}

}  // namespace
}  // namespace kiln::oci
