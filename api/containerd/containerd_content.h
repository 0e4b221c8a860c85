// Blobs out of containerd's content store.
#pragma once

#include <memory>

#include "api/containerd/containerd_client.h"
#include "api/proto/content.grpc.pb.h"
#include "base/status.h"
#include "cache/content/content_store.h"

namespace kiln::api {

namespace ctd_content = ::containerd::services::content::v1;

// NOT_FOUND. Both must outlive the reader; its size is what containerd says.
StatusOr<std::unique_ptr<cache::BlobReader>> OpenContainerdBlob(ContainerdClient& client,
                                                                ctd_content::Content::Stub& content,
                                                                const Digest& digest);

}  // namespace kiln::api
