#include "solver/recipe.h"

#include "base/strings.h"

namespace kiln::solver {

StepNames NamesOf(std::string_view name) {
  std::string_view where, text = name;
  if (name.starts_with('[')) {
    size_t end = name.find("] ");
    if (end != std::string_view::npos) {
      where = name.substr(1, end - 1);
      text = name.substr(end + 2);
    }
  }
  // "linux/amd64 build 2/5": all but the number is the stage.
  std::string_view stage = where, number;
  size_t slash = where.rfind('/');
  size_t space = where.rfind(' ');
  if (slash != std::string_view::npos && slash + 1 < where.size() &&
      where.find_first_not_of("0123456789", slash + 1) == std::string_view::npos) {
    size_t start = space == std::string_view::npos || space > slash ? 0 : space + 1;
    stage = space == std::string_view::npos || space > slash ? std::string_view()
                                                             : where.substr(0, space);
    number = where.substr(start, slash - start);
  }
  std::string_view kind = text.substr(0, text.find(' '));
  return {StrCat(stage, " ", text), StrCat(stage, " ", number, " ", kind)};
}

}  // namespace kiln::solver
