// The texts for calls that nobody serves.
#include "api/tunnel/unknown_methods.h"

#include <gtest/gtest.h>

namespace kiln::api {
namespace {

TEST(UnknownMethods, AMethodOfAKnownServiceIsNamed) {
  EXPECT_EQ(UnknownMethodText({"moby.buildkit.v1.Control"}, "/moby.buildkit.v1.Control/Frobnicate"),
            "unknown method Frobnicate for service moby.buildkit.v1.Control");
}

TEST(UnknownMethods, AnUnknownServiceIsNamedAlone) {
  EXPECT_EQ(UnknownMethodText({"moby.buildkit.v1.Control"}, "/moby.filesync.v1.Auth/Credentials"),
            "unknown service moby.filesync.v1.Auth");
}

TEST(UnknownMethods, APathWithoutAServiceIsMalformed) {
  EXPECT_EQ(UnknownMethodText({}, "/nothing"), "malformed method name: \"/nothing\"");
}

}  // namespace
}  // namespace kiln::api
