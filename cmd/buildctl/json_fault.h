// What is wrong with a JSON text, in the words of Go's encoding/json.
//
// Only finds the first fault; reading JSON is nlohmann's business.
#pragma once

#include <string>
#include <string_view>

namespace kiln::buildctl {

// "invalid character 'n' looking for beginning of object key string",
// "unexpected end of JSON input"; "" if the text is JSON. Linear, of limited depth.
std::string JsonFault(std::string_view text);

}  // namespace kiln::buildctl
