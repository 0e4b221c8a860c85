// What a blob that was written is held to.
#pragma once

#include "base/status.h"
#include "oci/descriptor.h"

namespace kiln::cache {

// DATA_LOSS, in the words of containerd's store, if size or digest are not those `expected`:
// see BlobWriter::Commit.
Status CheckWritten(const oci::Descriptor& expected, const oci::Descriptor& written);

}  // namespace kiln::cache
