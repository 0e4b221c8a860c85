// Unit tests of the debug server: its pages, its text formats, a request over a socket.
#include "cmd/buildkitd/debug_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/strings.h"
#include "cmd/buildkitd/metrics_text.h"
#include "cmd/buildkitd/thread_stacks.h"

namespace kiln::buildkitd {
namespace {

TEST(Metrics, NothingIsToldOfBuildsBeforeTheFirst) { EXPECT_EQ(BuildMetricsText({}), ""); }

TEST(Metrics, FailuresCarryTheNameOfTheirCode) {
  control::BuildMetrics metrics;
  metrics.Record(OkStatus(), {.total = 4, .cached = 1, .completed = 3, .warnings = 0}, 0.5);
  metrics.Record(NotFoundError("x"), {.total = 1, .cached = 0, .completed = 1, .warnings = 2}, 2);
  std::string text = BuildMetricsText(metrics.Get());
  EXPECT_TRUE(Contains(text, "# TYPE buildkit_builds_total counter\n")) << text;
  EXPECT_TRUE(Contains(text, "buildkit_builds_total{error_code=\"NotFound\",otel_scope_name=")) << text;
  EXPECT_TRUE(Contains(text, "status=\"success\"} 1\n")) << text;
  EXPECT_TRUE(Contains(text, "buildkit_builds_steps_total{kind=\"total\",")) << text;
  EXPECT_TRUE(Contains(text, "buildkit_build_duration_seconds_sum{")) << text;
  EXPECT_TRUE(Contains(text, "status=\"failure\"} 2\n")) << text;
}

TEST(DebugPages, UnknownPathsAreNotFound) {
  EXPECT_EQ(AnswerDebugRequest("GET", "/debug/nosuch", {}).status, 404u);
  EXPECT_EQ(AnswerDebugRequest("GET", "/debug/pprof/nosuch", {}).status, 404u);
  EXPECT_EQ(AnswerDebugRequest("GET", "/debug/pprof/trace", {}).status, 501u);
}

TEST(DebugPages, MetricsTellOfTheProcess) {
  DebugAnswer answer = AnswerDebugRequest("GET", "/metrics", {[] { return "first 1\n"; }, {}});
  EXPECT_EQ(answer.status, 200u);
  EXPECT_TRUE(answer.body.starts_with("first 1\n"));
  EXPECT_TRUE(Contains(answer.body, "\nprocess_resident_memory_bytes ")) << answer.body;
}

TEST(DebugPages, StacksNameEveryThread) {
  PrepareThreadStacks();
  std::string text = AnswerDebugRequest("GET", "/debug/pprof/goroutine?debug=2", {}).body;
  EXPECT_TRUE(text.starts_with(StrCat("goroutine ", getpid(), " ["))) << text;
}

TEST(DebugServer, AnswersOverAUnixSocketAndRemovesIt) {
  std::string path = StrCat(testing::TempDir(), "/kiln-debug-", getpid());
  {
    auto server = DebugServer::Open("unix://" + path);
    ASSERT_TRUE(server.ok()) << server.status();
    (*server)->Show({[] { return "shown 1\n"; }, {}});
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    ASSERT_EQ(write(fd.get(), request.data(), request.size()),
              static_cast<ssize_t>(request.size()));
    std::string answer;
    char piece[4096];
    for (ssize_t n = 0; (n = read(fd.get(), piece, sizeof piece)) > 0;) {
      answer.append(piece, static_cast<size_t>(n));
    }
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(Contains(answer, "\r\n\r\nshown 1\n")) << answer;
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(DebugServer, UnknownSchemesAreRefused) {
  auto server = DebugServer::Open("udp://127.0.0.1:1");
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().message(), "addr udp://127.0.0.1:1 not supported");
}

}  // namespace
}  // namespace kiln::buildkitd
