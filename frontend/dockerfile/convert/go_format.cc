// Only what instructions print: lists.
#include "frontend/dockerfile/convert/go_format.h"

#include "base/strings.h"

namespace kiln::dockerfile {
std::string GoList(const std::vector<std::string>& texts) {
  return StrCat("[", StrJoin(texts, " "), "]");
}

std::string GoQuotedList(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(Quote(text));
  return GoList(quoted);
}

}  // namespace kiln::dockerfile
