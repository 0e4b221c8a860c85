// A field either starts with a quote or holds none.
#include "base/csv.h"

#include "base/strings.h"

namespace kiln {

namespace {

Status ErrorAt(size_t position, std::string_view what) {
  return UnknownError(StrCat("parse error on line 1, column ", position + 1, ": ", what));
}

// Reads a quoted field; `*at` stands on the opening quote, then behind the field.
Status ReadQuoted(std::string_view line, size_t* at, std::string* field) {
  constexpr std::string_view kStray = "extraneous or missing \" in quoted-field";
  ++*at;
  while (true) {
    const size_t quote = line.find('"', *at);
    if (quote == std::string_view::npos) return ErrorAt(*at, kStray);
    *field += line.substr(*at, quote - *at);
    *at = quote + 1;
    if (*at == line.size() || line[*at] == ',') return OkStatus();
    if (line[*at] != '"') return ErrorAt(quote, kStray);
    *field += '"';
    ++*at;
  }
}

}  // namespace

StatusOr<std::vector<std::string>> CsvFields(std::string_view line) {
  if (line.ends_with("\r\n")) {
    line.remove_suffix(2);
  } else {
    line = TrimSuffix(line, "\n");
  }
  if (line.empty()) return UnknownError("EOF");
  std::vector<std::string> fields;
  for (size_t at = 0;; ++at) {
    std::string field;
    if (at < line.size() && line[at] == '"') {
      RETURN_IF_ERROR(ReadQuoted(line, &at, &field));
    } else {
      field = line.substr(at, line.find(',', at) - at);
      const size_t quote = field.find('"');
      if (quote != std::string::npos) {
        return ErrorAt(at + quote, "bare \" in non-quoted-field");
      }
      at += field.size();
    }
    fields.push_back(std::move(field));
    if (at >= line.size()) return fields;
  }
}

}  // namespace kiln
