// Env over the variables of an llb::EnvList, for the expansion of words.
#pragma once

#include "frontend/dockerfile/shell_word.h"
#include "llb/env_list.h"

namespace kiln::dockerfile {

// Refers to the list: it must outlive the Env.
class StateEnv : public Env {
 public:
  explicit StateEnv(const llb::EnvList& list) : list_(list) {}
  std::optional<std::string> Get(std::string_view name) const override { return list_.Get(name); }
  std::vector<std::string> Keys() const override { return list_.Keys(); }

 private:
  const llb::EnvList& list_;
};

}  // namespace kiln::dockerfile
