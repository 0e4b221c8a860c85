// The JSON form of a list of words: ["a", "b"].
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

enum class JsonArray {
  kNone,   // no JSON array: the text means something else
  kMixed,  // an array that holds more than strings
  kStrings,
};
// Reads `text` as Go's encoding/json does: bad UTF-8 and lone surrogates become U+FFFD.
JsonArray ReadJsonArray(std::string_view text, std::vector<std::string>* strings);

}  // namespace kiln::dockerfile
