#include "worker/source/git/ssh_keyscan.h"

#include <gtest/gtest.h>

namespace kiln::worker {
namespace {

// The order of defaultHostKeyAlgos in golang.org/x/crypto/ssh.
TEST(PreferredHostKey, IsTheOneThatTheReferenceAgreesOn) {
  EXPECT_EQ(PreferredHostKey("# h:22 SSH-2.0-x\nh ssh-ed25519 CCC\nh ssh-rsa BBB\n"
                             "h ecdsa-sha2-nistp256 AAA\n"),
            "h ecdsa-sha2-nistp256 AAA");
  EXPECT_EQ(PreferredHostKey("[h]:2222 ssh-ed25519 CCC\n[h]:2222 ssh-rsa BBB\n"),
            "[h]:2222 ssh-rsa BBB");
}

TEST(PreferredHostKey, NoAnswerIsNoKey) {
  EXPECT_EQ(PreferredHostKey(""), "");
  EXPECT_EQ(PreferredHostKey("# h:22 SSH-2.0-x\nrubbish\n"), "");
}

}  // namespace
}  // namespace kiln::worker
