// The lines of a Dockerfile at which a build failed, from the error's details.
#include <algorithm>
#include <cstdio>

#include "api/proto/errdefs.pb.h"
#include "cmd/buildctl/common.h"

namespace kiln::buildctl {
namespace {

constexpr std::string_view kSourceDetail = "github.com/moby/buildkit/errdefs.Source+json";

int LastLine(const pb::Range& range) { return std::max(range.end().line(), range.start().line()); }

bool InRanges(const errdefs::Source& source, int line) {
  for (const pb::Range& range : source.ranges()) {
    if (range.start().line() <= line && LastLine(range) >= line) return true;
  }
  return false;
}

std::string Excerpt(const errdefs::Source& source) {
  if (!source.has_info() || source.ranges().empty()) return "";
  std::vector<std::string_view> lines = StrSplit(source.info().data(), '\n');
  int count = static_cast<int>(lines.size());
  int start = source.ranges(0).start().line();
  int end = 0;
  for (const pb::Range& range : source.ranges()) {
    start = std::min(start, range.start().line());
    end = std::max(end, LastLine(range));
  }
  if (start > count || start < 1) return "";
  end = std::min(end, count);
  int shown_at = start;
  // Two lines around a range, four around a single line; at least one each turn is spent.
  int room = end == start ? 4 : 2;
  for (int spent = 0; spent < room; ++spent) {
    if (start > 1) {
      --start;
      ++spent;
    }
    if (end != count) {
      ++end;
      ++spent;
    }
  }
  std::string out = StrCat(source.info().filename(), ":", shown_at, "\n--------------------\n");
  for (int i = start; i <= end; ++i) {
    char number[16];
    std::snprintf(number, sizeof number, " %3d | ", i);
    out += StrCat(number, InRanges(source, i) ? ">>>" : "   ", " ", lines[static_cast<size_t>(i - 1)],
                  "\n");
  }
  return out + "--------------------\n";
}

}  // namespace

std::string SourceExcerpts(const Status& status) {
  std::string out;
  // What was added last is the outermost, and is shown first.
  const auto& details = status.details();
  for (auto detail = details.rbegin(); detail != details.rend(); ++detail) {
    errdefs::Source source;
    if (detail->type_url == kSourceDetail && source.ParseFromString(detail->bytes)) {
      out += Excerpt(source);
    }
  }
  return out;
}

}  // namespace kiln::buildctl
