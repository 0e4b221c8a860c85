// Credentials of Docker's config.json and of the helper programs it names.
#pragma once

#include <string>

#include "base/status.h"

namespace kiln::api {

struct DockerCredentials {
  std::string username;
  std::string secret;          // password or identity token (then no user name)
  std::string registry_token;  // a ready bearer token
};

// $DOCKER_CONFIG or ~/.docker.
std::string DockerConfigDir();
// Reads the file anew and may run a helper. Empty if nothing is known of `host`.
StatusOr<DockerCredentials> CredentialsFor(const std::string& host);

}  // namespace kiln::api
