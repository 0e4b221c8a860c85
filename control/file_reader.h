// Reading files of a mounted result for frontends, confined to the tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/bridge.h"

namespace kiln::control {

// Links are followed inside the tree. "open X: no such file or directory".
StatusOr<std::string> ReadFileIn(const std::string& root, std::string_view path,
                                 const frontend::ReadFileOptions& options);
// Entries of one folder, in order, those that match `include_pattern` if it is given.
StatusOr<std::vector<frontend::FileStat>> ReadDirIn(const std::string& root, std::string_view path,
                                                    std::string_view include_pattern);
// "lstat X: no such file or directory".
StatusOr<frontend::FileStat> StatFileIn(const std::string& root, std::string_view path);

}  // namespace kiln::control
