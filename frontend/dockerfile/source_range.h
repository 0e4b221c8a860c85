// Position, Range: places in a Dockerfile, and how an error carries them.
//
// A Status takes groups of ranges along as details of its own, innermost first;
// whoever sends the error to a client turns them into the wire's message. Not
// a source map: which file the lines belong to is known only to the converter.
#pragma once

#include <vector>

#include "base/status.h"

namespace kiln::dockerfile {

// Lines start at 1. `character` is 0 wherever only lines are known.
struct Position {
  int line = 0;
  int character = 0;
  auto operator<=>(const Position&) const = default;
};

struct Range {
  Position start = {};
  Position end = {};
  auto operator<=>(const Range&) const = default;
};

// One range for each line of first..last (just `first` if `last` lies before it).
std::vector<Range> LineRanges(int first, int last);

// Adds one group of ranges behind those that `error` already has. OK stays OK.
Status WithLocation(const Status& error, const std::vector<Range>& location);
// Replaces whatever groups there are by this one.
Status SetLocation(const Status& error, const std::vector<Range>& location);
// The groups in the order in which they were added; empty if the error has none.
std::vector<std::vector<Range>> Locations(const Status& error);
// The same error without groups: what may travel beyond the frontend.
Status WithoutLocations(const Status& error);

}  // namespace kiln::dockerfile
