// Unit tests of the rootless self-test, over folders that play the machine.
#include "cmd/buildkitd/rootless_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RootlessCheck : public ::testing::Test {
 protected:
  RootlessCheck() : dir_(MakeTempDir(::testing::TempDir(), "rootless-").value()) {
    Put("proc/sys/user/max_user_namespaces", "15000\n");
    Put("etc/subuid", "other:1:2\nbuilder:100000:65536\n");
    Put("etc/subgid", "1000:100000:65536\n");
    for (const char* name : {"newuidmap", "newgidmap"}) {
      Put(StrCat("usr/bin/", name), "", 04755);
    }
    Put("usr/bin/rootlesskit", "", 0755);
    Put("proc/self/uid_map", "         0       1000          1\n         1     100000      65536\n");
    Put("proc/self/gid_map", "         0       1000          1\n         1     100000      65536\n");
    Put("proc/self/setgroups", "allow\n");
  }
  void Put(const std::string& path, std::string_view text, mode_t mode = 0644) {
    const std::string full = JoinPath(dir_.path(), path);
    ASSERT_TRUE(MakeDirs(DirName(full)).ok());
    ASSERT_TRUE(WriteFileAtomic(full, text).ok());
    ASSERT_EQ(::chmod(full.c_str(), mode), 0);
  }
  std::vector<std::string> ForNamespace() const {
    return MissingForNamespace({.root = dir_.path(), .name = "builder", .uid = 1000, .path = "/bin:/usr/bin"});
  }
  std::vector<std::string> InNamespace() const { return MissingInNamespace(dir_.path(), false); }

  TempDir dir_;
};

TEST_F(RootlessCheck, AWholeMachineLacksNothing) {
  EXPECT_THAT(ForNamespace(), IsEmpty());
  EXPECT_THAT(InNamespace(), IsEmpty());
}

TEST_F(RootlessCheck, KernelKnobsAreNamed) {
  Put("proc/sys/user/max_user_namespaces", "0\n");
  Put("proc/sys/kernel/unprivileged_userns_clone", "0\n");
  Put("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
  EXPECT_THAT(ForNamespace(),
              ElementsAre(HasSubstr("user.max_user_namespaces is 0"),
                          HasSubstr("kernel.unprivileged_userns_clone is 0"),
                          HasSubstr("kernel.apparmor_restrict_unprivileged_userns is 1")));
}

TEST_F(RootlessCheck, AKernelWithoutUserNamespacesIsNamed) {
  ASSERT_TRUE(RemoveAll(JoinPath(dir_.path(), "proc/sys/user")).ok());
  EXPECT_THAT(ForNamespace(), ElementsAre(HasSubstr("CONFIG_USER_NS")));
}

TEST_F(RootlessCheck, ProgramsThatAreMissingOrPowerlessAreNamed) {
  ASSERT_TRUE(RemoveAll(JoinPath(dir_.path(), "usr/bin/newuidmap")).ok());
  ASSERT_TRUE(RemoveAll(JoinPath(dir_.path(), "usr/bin/rootlesskit")).ok());
  Put("usr/bin/newgidmap", "", 0755);
  EXPECT_THAT(ForNamespace(),
              ElementsAre(HasSubstr("newuidmap is not installed"),
                          HasSubstr("newgidmap is neither setuid root"),
                          HasSubstr("rootlesskit is not installed")));
}

TEST_F(RootlessCheck, RangesThatAreMissingOrShortAreNamed) {
  Put("etc/subuid", "other:100000:65536\nbuilder:1:10\n");
  Put("etc/subgid", "");
  EXPECT_THAT(ForNamespace(),
              ElementsAre(HasSubstr("/etc/subuid has only 10 ids for user builder"),
                          HasSubstr("/etc/subgid has no range for user builder")));
}

TEST_F(RootlessCheck, ANamespaceOfOneIdIsNamed) {
  Put("proc/self/uid_map", "         0       1000          1\n");
  Put("proc/self/setgroups", "deny\n");
  Put("proc/sys/user/max_pid_namespaces", "0\n");
  EXPECT_THAT(InNamespace(), ElementsAre(HasSubstr("only 1 user id is mapped"),
                                         HasSubstr("setgroups is denied"),
                                         HasSubstr("user.max_pid_namespaces is 0")));
}

}  // namespace
}  // namespace kiln::buildkitd
