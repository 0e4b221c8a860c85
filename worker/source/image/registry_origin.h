// Registries as origins of images, with the credentials of the builds' sessions.
#pragma once

#include <functional>
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

// Blobs and manifests of one repository; nothing is asked before one is opened. Its ranges can
// be read when the build is over, with the credentials of any client that is there then.
std::shared_ptr<cache::BlobSource> NewRegistryBlobs(std::shared_ptr<oci::Registry> registry,
                                                    oci::RegistryCall call,
                                                    SessionTable& sessions);

// The same by a repository's name, when no build has a say in it any more. Null for what is no
// repository.
std::function<std::shared_ptr<cache::BlobSource>(const std::string& repository)> NewLateBlobs(
    std::shared_ptr<oci::Registry> registry, SessionTable& sessions);

// Both must outlive the origins. For ImageSourceOptions::registry.
RegistryOriginFn NewRegistryOrigins(std::shared_ptr<oci::Registry> registry,
                                    SessionTable& sessions);

}  // namespace kiln::worker
