// Locations ride on a Status as details under a type of our own, which never
// leaves the process: WithoutLocations takes them off.
#include "frontend/dockerfile/source_range.h"

#include <algorithm>
#include <string>

#include "base/strings.h"

namespace kiln::dockerfile {

namespace {

constexpr std::string_view kDetailType = "kiln.dockerfile.locations";

std::string Encode(const std::vector<Range>& location) {
  std::string text;
  for (const Range& range : location) {
    text += StrCat(range.start.line, " ", range.start.character, " ", range.end.line, " ",
                   range.end.character, "\n");
  }
  return text;
}

std::vector<Range> Decode(std::string_view text) {
  std::vector<Range> location;
  for (std::string_view line : StrSplit(text, '\n')) {
    const std::vector<std::string_view> fields = StrSplit(line, ' ');
    if (fields.size() != 4) continue;
    int64_t numbers[4] = {};
    for (size_t i = 0; i < 4; ++i) ParseInt64(fields[i], &numbers[i]);
    auto number = [&](size_t i) { return static_cast<int>(numbers[i]); };
    location.push_back({{number(0), number(1)}, {number(2), number(3)}});
  }
  return location;
}

}  // namespace

std::vector<Range> LineRanges(int first, int last) {
  std::vector<Range> ranges;
  for (int line = first; line <= std::max(first, last); ++line) {
    ranges.push_back({{line, 0}, {line, 0}});
  }
  return ranges;
}

Status WithLocation(const Status& error, const std::vector<Range>& location) {
  Status out = error;
  out.AddDetail(kDetailType, Encode(location));
  return out;
}

Status SetLocation(const Status& error, const std::vector<Range>& location) {
  return WithLocation(WithoutLocations(error), location);
}

std::vector<std::vector<Range>> Locations(const Status& error) {
  std::vector<std::vector<Range>> groups;
  for (const StatusDetail& detail : error.details()) {
    if (detail.type_url == kDetailType) groups.push_back(Decode(detail.bytes));
  }
  return groups;
}

Status WithoutLocations(const Status& error) {
  if (error.ok()) return error;
  Status out(error.code(), error.message());
  for (const StatusDetail& detail : error.details()) {
    if (detail.type_url != kDetailType) out.AddDetail(detail.type_url, detail.bytes);
  }
  return out;
}

}  // namespace kiln::dockerfile
