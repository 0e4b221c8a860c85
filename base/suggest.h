// "Did you mean …?": the nearest of some known words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

// The option at an edit distance below 3, or empty; empty too if `word` is one of
// them. Of equally near ones the first counts. Without `case_sensitive` the answer
// takes the case of `word`, if that is uniform.
std::string Suggest(std::string_view word, const std::vector<std::string>& options,
                    bool case_sensitive);
// Adds " (did you mean x?)" to the message if there is such an option.
Status WithSuggestion(const Status& error, std::string_view word,
                      const std::vector<std::string>& options, bool case_sensitive);

}  // namespace kiln
