// Parsing steps that tar_reader.cc and tar_sparse.cc share.
#pragma once

#include "base/status.h"
#include "oci/tar_format.h"

namespace kiln::oci::tar {

Status InvalidHeader();
// Text up to the first NUL.
std::string_view TextIn(const char* block, Field field);
// Octal, or base 256 as GNU writes large numbers.
StatusOr<int64_t> NumberIn(const char* block, Field field);

}  // namespace kiln::oci::tar
