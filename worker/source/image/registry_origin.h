// Registries as origins of images, with the credentials of the builds' sessions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "oci/registry.h"
#include "worker/client_session.h"
#include "worker/source/image/image_source.h"

namespace kiln::worker {

// Asks the first of `sessions` that answers. Thread-safe.
std::shared_ptr<oci::RegistryAuth> NewSessionAuth(SessionTable& sessions,
                                                  std::vector<std::string> session_ids);

// Blobs and manifests of one repository; nothing is asked before one is opened.
std::shared_ptr<cache::BlobSource> NewRegistryBlobs(std::shared_ptr<oci::Registry> registry,
                                                    oci::RegistryCall call);

// Both must outlive the origins. For ImageSourceOptions::registry.
RegistryOriginFn NewRegistryOrigins(std::shared_ptr<oci::Registry> registry,
                                    SessionTable& sessions);

}  // namespace kiln::worker
