// Mount stubs: the empty files and folders that the runtime makes in the root
// of a step so that it has something to mount on. They must not stay in the layer.
#pragma once

#include <string>
#include <vector>

#include "base/rooted.h"
#include "base/status.h"

namespace kiln::worker::exec {

// Made before the step: notes which of `targets` are missing (with their parents
// if `recursive`). Remove after the step takes away those that are still empty
// and puts the times of their parents back.
class MountStubs {
 public:
  MountStubs(const RootedTree& tree, const std::vector<std::string>& targets, bool recursive);
  void Remove() const;

 private:
  const RootedTree& tree_;
  std::vector<std::string> missing_;
};

}  // namespace kiln::worker::exec
