// Stacks of errors: one of each process, innermost first.
#include "api/tunnel/error_stack.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "api/proto/stack.pb.h"
#include "api/proto/status.pb.h"
#include "api/tunnel/grpc_status.h"
#include "base/trace.h"

namespace kiln::api {
namespace {

// As a peer with another process id would send it.
std::string ForeignStack() {
  stack::Stack stack;
  stack.set_pid(::getpid() + 1);
  stack.set_version("v1");
  stack.add_cmdline("/frontend");
  stack.add_cmdline("-x");
  stack::Frame& frame = *stack.add_frames();
  frame.set_name("main.run");
  frame.set_file("main.go");
  frame.set_line(7);
  return stack.SerializeAsString();
}

TEST(ErrorStack, EachProcessAddsItsOwnOnce) {
  Status status = UnknownError("no");
  status.AddDetail(kStackUrl, ForeignStack());

  Status once = WithStack(status);
  Status twice = WithStack(once);

  EXPECT_EQ(once.details().size(), 2u);
  EXPECT_EQ(twice.details().size(), 2u);
  EXPECT_TRUE(WithStack(OkStatus()).ok());
}

TEST(ErrorStack, AFrameNamesItsFunctionAndAFileOfTheTree) {
  SetStackVersion("v9", "abc");

  Status status = WithStack(UnknownError("no"));

  stack::Stack stack;
  ASSERT_TRUE(stack.ParseFromString(status.details()[0].bytes));
  EXPECT_EQ(stack.pid(), ::getpid());
  EXPECT_EQ(stack.version(), "v9");
  EXPECT_EQ(stack.revision(), "abc");
  EXPECT_FALSE(stack.cmdline().empty());
  ASSERT_EQ(stack.frames_size(), 1);
  EXPECT_NE(stack.frames(0).name().find("TestBody"), std::string::npos);
  EXPECT_EQ(stack.frames(0).name().find('('), std::string::npos);
  EXPECT_EQ(stack.frames(0).file(), "api/tunnel/error_stack_test.cc");
}

TEST(ErrorStack, FramesOfTheWayComeFromTheInside) {
  Status status = Traced(UnknownError("no"));
  int inner = __LINE__ - 1;

  status = WithStack(Traced(Annotate(status, "outer")));

  stack::Stack stack;
  ASSERT_TRUE(stack.ParseFromString(status.details().back().bytes));
  ASSERT_EQ(stack.frames_size(), 3);
  EXPECT_EQ(stack.frames(0).line(), inner);
  EXPECT_EQ(stack.frames(1).line(), inner + 3);
  EXPECT_EQ(stack.frames(2).line(), inner + 3);
}

TEST(ErrorStack, AProgramInAContainerMayHaveOurNumber) {
  stack::Stack stack;
  ASSERT_TRUE(stack.ParseFromString(ForeignStack()));
  stack.set_pid(::getpid());
  Status status = UnknownError("no");
  status.AddDetail(kStackUrl, stack.SerializeAsString());

  EXPECT_EQ(WithStack(status).details().size(), 2u);
}

// The reference's client wraps them in the order of the wire and prints the first as the innermost.
TEST(ErrorStack, TheInnermostComesFirstOnTheWireAndInPrint) {
  Status status = UnknownError("no");
  status.AddDetail(kStackUrl, ForeignStack());
  google::rpc::Status wire;

  ToRpcStatus(WithStack(status), &wire);

  ASSERT_EQ(wire.details_size(), 2);
  EXPECT_EQ(wire.details(0).value(),
            R"({"frames":[{"Name":"main.run","File":"main.go","Line":7}],)"
            R"("cmdline":["/frontend","-x"],"pid":)" +
                std::to_string(::getpid() + 1) + R"(,"version":"v1"})");
  std::string text = StackText(FromRpcStatus(wire));
  EXPECT_TRUE(text.starts_with(std::to_string(::getpid() + 1) +
                               " v1 /frontend -x\nmain.run\n\tmain.go:7\n\n" +
                               std::to_string(::getpid())))
      << text;
}

}  // namespace
}  // namespace kiln::api
