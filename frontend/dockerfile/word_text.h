// What the words that the grammar cuts out of a line stand for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

// A flag without its quotes and escapes. Bytes outside of ASCII are taken for
// Latin-1, as the reference does.
std::string FlagText(std::string_view word, char escape);
// A word of ENV, LABEL or ARG: quotes and escapes stay; of the line's last word an
// escape goes that has nothing behind it.
std::string QuotedWordText(std::string_view word, char escape, bool last);
// Words between blanks.
std::vector<std::string> SplitBlanks(std::string_view text);

}  // namespace kiln::dockerfile
