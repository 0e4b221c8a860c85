// Unit tests of the displays, fed with literal messages.
#include "api/client/display/display.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "api/client/display/colors.h"
#include "api/client/display/plain_display.h"
#include "api/client/display/terminal_tail.h"
#include "api/client/display/vertex_board.h"
#include "base/file.h"
#include "base/process.h"

namespace kiln::api {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
const Time kStart = Time::FromSeconds(1700000000);
Time After(int64_t seconds) { return Time{kStart.nanos + seconds * kSecond}; }

VertexState Vertex(std::string digest, std::string name, Time started, Time completed = {}) {
  VertexState state;
  state.digest = std::move(digest);
  state.name = std::move(name);
  state.started = started;
  state.completed = completed;
  return state;
}

// What a display writes for these messages.
std::string Shown(std::string_view mode, const std::vector<SolveStatus>& messages) {
  TempDir dir(*MakeTempDir("/tmp", "kiln-display-"));
  std::string path = JoinPath(dir.path(), "out");
  {
    auto file = *OpenFile(path, O_WRONLY | O_CREAT);
    auto display = *NewDisplay(mode, {.fd = file.get()});
    for (const SolveStatus& message : messages) {
      display->Update(message);
      display->Refresh();
    }
    display->Done();
  }
  return *ReadFile(path);
}

TEST(PlainDisplay, PrintsAStepWithItsLogAndItsTime) {
  SolveStatus begin{{Vertex("a", "[1/2] RUN x", kStart)}, {}, {}, {}};
  SolveStatus log{{}, {}, {{"a", 1, "one\ntwo\n", After(1)}}, {}};
  SolveStatus end{{Vertex("a", "[1/2] RUN x", kStart, After(2))}, {}, {}, {}};

  EXPECT_EQ(Shown("plain", {begin, log, end}),
            "#1 [1/2] RUN x\n#1 1.000 one\n#1 1.000 two\n#1 DONE 2.0s\n");
}

TEST(PlainDisplay, PrintsCachedErrorAndCancelledEnds) {
  VertexState cached = Vertex("a", "cached", kStart, kStart);
  cached.cached = true;
  VertexState failed = Vertex("b", "failed", kStart, After(1));
  failed.error = "no luck";
  VertexState cancelled = Vertex("c", "cancelled", kStart, After(2));
  cancelled.error = "solve: context canceled";

  EXPECT_EQ(Shown("plain", {{{cached}, {}, {}, {}},
                            {{failed}, {}, {}, {}},
                            {{}, {}, {{"b", 2, "the reason\n", After(1)}}, {}},
                            {{cancelled}, {}, {}, {}}}),
            "#1 cached\n#1 CACHED\n\n#2 failed\n#2 ERROR: no luck\n\n#2 failed\n#2 1.000 the "
            "reason\n#2 ERROR: no luck\n\n#3 cancelled\n#3 CANCELED\n------\n > failed:\n1.000 the "
            "reason\n------\n");
}

TEST(PlainDisplay, JoinsALineThatArrivesInPieces) {
  SolveStatus begin{{Vertex("a", "x", kStart)}, {}, {{"a", 1, "par", After(1)}}, {}};
  SolveStatus rest{{}, {}, {{"a", 1, "tial\n", After(2)}}, {}};

  std::string shown = Shown("plain", {begin, rest});

  EXPECT_EQ(shown, "#1 x\n#1 1.000 partial\n");
}

TEST(PlainDisplay, ShowsStatusesWithSizes) {
  VertexStatusLine line{"sha256:1", "a", "", 500, 2000, After(1), kStart, {}};
  SolveStatus begin{{Vertex("a", "pull", kStart)}, {line}, {}, {}};
  line.current = 2000;
  line.completed = After(3);
  SolveStatus end{{Vertex("a", "pull", kStart, After(3))}, {line}, {}, {}};

  EXPECT_EQ(Shown("plain", {begin, end}),
            "#1 pull\n#1 sha256:1 500B / 2.00kB 1.0s\n#1 sha256:1 2.00kB / 2.00kB 3.0s done\n#1 "
            "DONE 3.0s\n");
}

TEST(VertexBoard, AGroupIsOneVertexAndHiddenUntilAStrongMemberStarts) {
  VertexBoard board;
  VertexState weak = Vertex("a", "weak", kStart, After(1));
  weak.group = ProgressGroup{"g", "the group", true};
  board.Update({{weak}, {}, {}, {}});
  EXPECT_TRUE(board.shown().empty());
  VertexState strong = Vertex("b", "strong", After(1), After(2));
  strong.group = ProgressGroup{"g", "the group", false};
  board.Update({{strong}, {}, {}, {}});
  ASSERT_EQ(board.shown().size(), 1u);
  EXPECT_EQ(board.shown()[0]->state.name, "the group");
  EXPECT_TRUE(board.shown()[0]->completed());
}

TEST(Intervals, OverlapsAreJoined) {
  auto merged = MergeIntervals({{After(5), After(6)}, {kStart, After(2)}, {After(1), After(3)}});
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_EQ(merged[0].stop, After(3));
  EXPECT_FALSE(MergeIntervals({{kStart, {}}, {After(1), After(2)}})[0].stop.set());
}

TEST(JsonDisplay, WritesOneLinePerMessageWithTheReferencesNames) {
  SolveStatus message{{Vertex("sha256:1", "n", kStart)}, {}, {{"sha256:1", 1, "x", kStart}}, {}};

  EXPECT_EQ(Shown("rawjson", {message}),
            "{\"vertexes\":[{\"digest\":\"sha256:1\",\"name\":\"n\",\"started\":\"2023-11-14T22:13:"
            "20Z\"}],\"logs\":[{\"vertex\":\"sha256:1\",\"stream\":1,\"data\":\"eA==\",\"timestamp\":"
            "\"2023-11-14T22:13:20Z\"}]}\n");
}

TEST(NewDisplay, RefusesWhatItCannotDo) {
  EXPECT_EQ(NewDisplay("fancy", {}).status().message(), "invalid progress mode fancy");
  auto file = *OpenFile("/dev/null", O_WRONLY);
  EXPECT_FALSE(NewDisplay("tty", {.fd = file.get()}).ok());
}

TEST(TerminalTail, ObeysCarriageReturnsAndDropsEscapes) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(TerminalTail("10%\r50%\r100%\n", 5, 80), Lines{"100%"});
  EXPECT_EQ(TerminalTail("\x1b[31mred\x1b[0m\n\nx", 5, 80), (Lines{"red", "x"}));
  EXPECT_EQ(TerminalTail("a\nb\nc\nd\n", 2, 80), (Lines{"c", "d"}));
  EXPECT_EQ(TerminalTail("abcdef", 5, 4), (Lines{"abcd", "ef"}));
  EXPECT_EQ(TerminalTail("\x1b[", 5, 4), Lines{});
}

TEST(Colors, AreReadAndComplainedAbout) {
  std::vector<std::string> complaints;
  DisplayColors colors = ParseColors("run=green:error=255,0,0:nonsense:cancel=puce", &complaints);
  EXPECT_EQ(colors.run, "\x1b[32m");
  EXPECT_EQ(colors.error, "\x1b[38;5;196m");
  EXPECT_EQ(colors.cancelled, "\x1b[33m");
  EXPECT_EQ(complaints.size(), 2u);
}

TEST(FormatBytes, UsesDecimalUnits) {
  EXPECT_EQ(FormatBytes(999), "999B");
  EXPECT_EQ(FormatBytes(1234), "1.23kB");
  EXPECT_EQ(FormatBytes(50'050'000), "50.05MB");
}

}  // namespace
}  // namespace kiln::api
