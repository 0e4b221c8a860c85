// Which headers a call may carry; the texts are those of the reference's clients.
#include "api/session/session_headers.h"

#include <gtest/gtest.h>

namespace kiln::api {
namespace {

TEST(SessionHeaders, TakeWhatHttp2CanCarry) {
  EXPECT_TRUE(CheckHeader("buildkit-attachable-store-id", "local:/tmp/a b~").ok());
  EXPECT_TRUE(CheckHeader("exporter-md-a_b.c-1", "").ok());
  EXPECT_TRUE(CheckHeader("some-bin", "\xc3\xa9").ok());
}

TEST(SessionHeaders, RefuseTheRestInTheReferencesWords) {
  EXPECT_EQ(CheckHeader("store", "local:\xc3\xa9").message(),
            "header key \"store\" contains value with non-printable ASCII characters");
  EXPECT_FALSE(CheckHeader("store", "a\nb").ok());
  EXPECT_EQ(CheckHeader("a b", "x").message(),
            "header key \"a b\" contains illegal characters not in [0-9a-z-_.]");
  EXPECT_FALSE(CheckHeader("", "x").ok());
  EXPECT_FALSE(CheckHeader("Upper", "x").ok());
}

}  // namespace
}  // namespace kiln::api
