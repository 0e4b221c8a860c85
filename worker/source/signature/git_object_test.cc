#include "worker/source/signature/git_object.h"

#include <gtest/gtest.h>

namespace kiln::worker {
namespace {

// Shapes as in git's gitformat-signature page.
TEST(SignedObject, ACommitIsSignedInAHeader) {
  auto object = ParseSignedObject(
      "tree a\nparent b\nauthor A <a> 1 +0000\ncommitter C <c> 1 +0000\n"
      "gpgsig -----BEGIN PGP SIGNATURE-----\n \n xyz\n -----END PGP SIGNATURE-----\n\nwords\n");
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_FALSE(object->is_tag);
  EXPECT_EQ(object->signature,
            "-----BEGIN PGP SIGNATURE-----\n\nxyz\n-----END PGP SIGNATURE-----");
  EXPECT_EQ(object->data,
            "tree a\nparent b\nauthor A <a> 1 +0000\ncommitter C <c> 1 +0000\n\nwords\n");
}

TEST(SignedObject, ATagIsSignedBelowItsMessage) {
  auto object = ParseSignedObject(
      "object a\ntype commit\ntag v1\ntagger T <t> 1 +0000\n\nwords\n"
      "-----BEGIN SSH SIGNATURE-----\nxyz\n-----END SSH SIGNATURE-----\n");
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_TRUE(object->is_tag);
  EXPECT_EQ(object->signature,
            "-----BEGIN SSH SIGNATURE-----\nxyz\n-----END SSH SIGNATURE-----\n");
  EXPECT_EQ(object->data, "object a\ntype commit\ntag v1\ntagger T <t> 1 +0000\n\nwords\n");
}

TEST(SignedObject, WhatIsNoObjectIsAnError) {
  EXPECT_EQ(ParseSignedObject("").status().message(),
            "invalid commit object: missing tree header");
  EXPECT_EQ(ParseSignedObject("object a\n\n").status().message(),
            "invalid tag object: missing type header");
}

TEST(SignedObject, AnUnsignedOneHasNoSignature) {
  auto object = ParseSignedObject("tree a\nauthor A\ncommitter C\n\ngpgsig in the message\n");
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->signature, "");
}

}  // namespace
}  // namespace kiln::worker
