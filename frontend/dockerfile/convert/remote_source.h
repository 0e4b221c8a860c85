// What a source of ADD is: a URL, a git repository, or neither.
#pragma once

#include <string>
#include <string_view>

namespace kiln::dockerfile {

bool IsGitSource(std::string_view source);
// https://host/repo.git is git, not http.
bool IsHttpSource(std::string_view source);
// Name of the file behind a URL: its last path element, or "__unnamed__".
std::string HttpFilename(const std::string& url);

}  // namespace kiln::dockerfile
