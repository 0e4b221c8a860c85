// Mounts that come from the client: a secret as a file, an ssh agent as a socket.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "cache/mount.h"
#include "worker/client_session.h"

namespace kiln::worker {

struct FileOwner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0;  // permission bits
};

// `value` in a file of a tmpfs of its own: it never reaches a disk.
StatusOr<cache::MountLease> MakeSecretMount(const std::string& temp_dir, std::string_view value,
                                            const FileOwner& owner);
// A socket whose connections go to the agent `id` behind `session`, as long as the lease lives.
StatusOr<cache::MountLease> MakeSshMount(const std::string& temp_dir, ClientSessionPtr session,
                                         const std::string& id, const FileOwner& owner);

}  // namespace kiln::worker
