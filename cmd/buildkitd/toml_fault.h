// What is wrong with a TOML text, in the words of the reference's parser.
#pragma once

#include <string>
#include <string_view>

namespace kiln::buildkitd {

// `description` is tomlplusplus's. Faults without a counterpart keep its words.
std::string TomlFault(std::string_view description);

}  // namespace kiln::buildkitd
