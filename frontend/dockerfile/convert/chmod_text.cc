// Clauses of "who", then one or more operators with permissions.
#include "frontend/dockerfile/convert/chmod_text.h"

namespace kiln::dockerfile {

bool IsChmodText(std::string_view text) {
  constexpr std::string_view kWho = "augo";
  constexpr std::string_view kOperators = "+-=";
  constexpr std::string_view kPermissions = "rstwXxugo";
  while (true) {
    while (!text.empty() && kWho.find(text[0]) != kWho.npos) text.remove_prefix(1);
    if (text.empty()) return false;
    do {
      if (kOperators.find(text[0]) == kOperators.npos) return false;
      text.remove_prefix(1);
      while (!text.empty() && kPermissions.find(text[0]) != kPermissions.npos) {
        text.remove_prefix(1);
      }
    } while (!text.empty() && text[0] != ',');
    if (text.empty()) return true;
    text.remove_prefix(1);
  }
}

}  // namespace kiln::dockerfile
