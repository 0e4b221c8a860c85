// RootLock: one daemon per state folder.
#pragma once

#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::buildkitd {

// Held until destroyed; the file goes with it.
class RootLock {
 public:
  // Makes the folder. "could not lock X, another instance running?".
  static StatusOr<RootLock> Take(const std::string& root);
  RootLock(RootLock&&) = default;
  ~RootLock();

 private:
  RootLock(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  UniqueFd file_;
};

}  // namespace kiln::buildkitd
