// Flags of instructions: always --name or --name=value.
#include "frontend/dockerfile/flags.h"

#include <algorithm>

#include "base/strings.h"
#include "base/suggest.h"

namespace kiln::dockerfile {

const FlagSet::Flag& FlagSet::Find(std::string_view name) const {
  const auto found = std::find_if(flags_.begin(), flags_.end(),
                                  [name](const Flag& flag) { return flag.name == name; });
  KILN_CHECK(found != flags_.end());
  return *found;
}

Status FlagSet::Parse(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return OkStatus();
    RETURN_IF_ERROR(ParseOne(word));
  }
  return OkStatus();
}

Status FlagSet::ParseOne(std::string_view word) {
  if (!word.starts_with("--")) {
    return UnknownError(StrCat("arg should start with -- : ", word));
  }
  std::string_view dashed;
  std::string_view value;
  const bool has_value = StrCut(word, "=", &dashed, &value);
  const std::string_view name = dashed.substr(2);
  const auto flag = std::find_if(flags_.begin(), flags_.end(),
                                 [name](const Flag& known) { return known.name == name; });
  if (flag == flags_.end()) {
    std::vector<std::string> names;
    for (const Flag& known : flags_) names.push_back(known.name);
    std::sort(names.begin(), names.end());
    return WithSuggestion(UnknownError(StrCat("unknown flag: ", dashed)), name, names, true);
  }
  if (flag->given && flag->kind != Kind::kTexts) {
    return UnknownError(StrCat("duplicate flag specified: ", dashed));
  }
  if (!flag->given) used_.push_back(flag->name);
  flag->given = true;
  if (flag->kind == Kind::kBool) return SetBool(dashed, has_value, value, &*flag);
  if (!has_value) return UnknownError(StrCat("missing a value on flag: ", dashed));
  if (flag->kind == Kind::kTexts) {
    flag->texts.emplace_back(value);
  } else {
    flag->text = value;
  }
  return OkStatus();
}

Status FlagSet::SetBool(std::string_view name, bool has_value, std::string_view value, Flag* flag) {
  if (has_value && value.empty()) {
    return UnknownError(StrCat("missing a value on flag: ", name));
  }
  const std::string lower = ToLower(value);
  if (lower.empty() || lower == "true") {
    flag->text = "true";
  } else if (lower == "false") {
    flag->text = "false";
  } else {
    return UnknownError(StrCat("expecting boolean value for flag ", name, ", not: ", value));
  }
  return OkStatus();
}

}  // namespace kiln::dockerfile
