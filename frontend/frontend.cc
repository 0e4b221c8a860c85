// The table. Frontends that are images come through gateway.v0, which joins it here.
#include "frontend/frontend.h"

#include "frontend/dockerfile/build/dockerfile_frontend.h"

namespace kiln::frontend {

std::unique_ptr<Frontend> NewFrontend(std::string_view name) {
  if (name == "dockerfile.v0") return dockerfile::NewFrontend();
  return nullptr;
}

}  // namespace kiln::frontend
