// The displays by kind; display.h chooses among them.
#pragma once

#include <memory>
#include <string>

#include "api/client/display/display.h"

namespace kiln::api {

std::unique_ptr<Display> NewJsonDisplay(int fd);
std::unique_ptr<Display> NewTtyDisplay(int fd, std::string phase);

}  // namespace kiln::api
