// Paths inside an image as its operating system writes them. What comes out has
// forward slashes and no drive letter, unless it says otherwise.
//
// Text only: nothing is looked up.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::dockerfile {

// The PATH of images that set none.
std::string DefaultPathEnv(std::string_view os);

// `path` made absolute below `parent`; `keep_slash`: a "/" or "/." at its end stays.
// UNKNOWN for Windows paths on other drives, UNC paths and the like.
StatusOr<std::string> NormalizeOsPath(std::string_view parent, std::string_view path,
                                      std::string_view os, bool keep_slash);
// New working directory, with the separators of the system.
StatusOr<std::string> NormalizeWorkdir(std::string_view current, std::string_view path,
                                       std::string_view os);
StatusOr<std::string> RemoveDriveLetter(std::string_view path, std::string_view os,
                                        bool keep_slash);
bool IsAbsoluteOsPath(std::string_view path, std::string_view os);
std::string ToSlash(std::string_view path, std::string_view os);

}  // namespace kiln::dockerfile
