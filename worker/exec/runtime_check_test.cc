// Unit tests of what is read out of a runtime's log.
#include "worker/exec/runtime_check.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace kiln::worker::exec {
namespace {

TEST(RuntimeCheck, TheLastErrorOfALogIsTheReason) {
  TempDir dir(MakeTempDir(::testing::TempDir(), "runtime-").value());
  const std::string log = JoinPath(dir.path(), "log.json");
  EXPECT_EQ(LastRuntimeError(log), "");
  ASSERT_TRUE(WriteFileAtomic(log, R"({"msg":"first","level":"error","time":"t"}
{"msg":"second","level":"error"}
{"msg":"a warning","level":"warning"}
no JSON {"level":"error"}
{"level":"error"}
)").ok());
  EXPECT_EQ(LastRuntimeError(log), "second");
}

TEST(RuntimeCheck, RuncIsKnownByItsNames) {
  EXPECT_TRUE(IsRunc("/usr/sbin/runc"));
  EXPECT_TRUE(IsRunc("buildkit-runc"));
  EXPECT_FALSE(IsRunc("/usr/bin/crun"));
}

TEST(RuntimeCheck, ARuntimeThatOnlyMissesTheProgramIsWell) {
  TempDir dir(MakeTempDir(::testing::TempDir(), "runtime-").value());
  auto runtime = [&](const char* name, const std::string& message) {
    const std::string path = JoinPath(dir.path(), name);
    // Arguments: --log FILE --log-format json …
    EXPECT_TRUE(WriteFileAtomic(path, "#!/bin/sh\necho '{\"level\":\"error\",\"msg\":\"" + message +
                                          "\"}' >>\"$2\"\nexit 1\n", 0755).ok());
    return path;
  };
  auto why = [&](const std::string& binary) {
    return WhyRuntimeFails({binary, dir.path(), false, "1.0.2"});
  };
  EXPECT_EQ(why(runtime("well", "executable file `/kiln-check` not found")), "");
  EXPECT_EQ(why(runtime("ill", "cgroups in hybrid mode not supported")),
            "cgroups in hybrid mode not supported");
  EXPECT_NE(why(JoinPath(dir.path(), "missing")), "");
}

}  // namespace
}  // namespace kiln::worker::exec
