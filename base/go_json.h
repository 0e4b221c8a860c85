// JSON text exactly as Go's encoding/json writes it, for documents whose bytes
// are hashed or compared. Not a JSON library: reading is nlohmann's business.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

// Appends `text` as a JSON string: HTML characters, U+2028/9 and controls are
// escaped, bytes that are no UTF-8 become U+FFFD.
void AppendGoJsonString(std::string_view text, std::string* out);
std::string GoJsonString(std::string_view text);
// ["a","b"]; "[]" if empty.
std::string GoJsonArray(const std::vector<std::string>& texts);

// Spreads compact JSON over lines as json.MarshalIndent(v, "", "  ") does.
std::string GoJsonIndent(std::string_view compact);

// A json.RawMessage as json.Marshal puts it into a document: without blanks, HTML
// characters escaped. INVALID_ARGUMENT if it is not one JSON value; "" gives "null".
StatusOr<std::string> GoJsonCompact(std::string_view text);
// `text` after a trip through Go's `any`: members sorted, numbers as float64.
StatusOr<std::string> GoJsonSorted(std::string_view text);

// Writes one object, members in the order of the calls. Not thread-safe.
class GoJsonObject {
 public:
  // `json` is JSON text already.
  void Raw(std::string_view key, std::string_view json);
  void String(std::string_view key, std::string_view text) { Raw(key, GoJsonString(text)); }
  void Int(std::string_view key, int64_t number) { Raw(key, std::to_string(number)); }
  void Bool(std::string_view key, bool value) { Raw(key, value ? "true" : "false"); }
  // The same, left out if empty, zero or false (omitempty).
  void OmitString(std::string_view key, std::string_view text);
  void OmitInt(std::string_view key, int64_t number);
  void OmitBool(std::string_view key, bool value);
  void OmitArray(std::string_view key, const std::vector<std::string>& texts);
  std::string Finish() const { return text_ + "}"; }
  bool empty() const { return text_.size() == 1; }

 private:
  std::string text_ = "{";
};

}  // namespace kiln
