// The ContentStore on disk: <root>/{oci-layout,blobs/sha256,ingest}, an OCI image
// layout that other tools can read.
#pragma once

#include <memory>
#include <string>

#include "cache/content/content_store.h"

namespace kiln::cache {

// Opens or makes the store; unfinished writes of an earlier process are removed.
StatusOr<std::unique_ptr<ContentStore>> OpenContentStore(const std::string& root);

}  // namespace kiln::cache
