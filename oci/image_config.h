// Image: the config of a container image, OCI's fields and Docker's additions.
//
// Written byte for byte as the reference's Go structures are, because the digest
// of an image depends on it. Members that neither knows are dropped on reading.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"

namespace kiln::oci {

struct HealthcheckConfig {
  std::vector<std::string> test;
  int64_t interval = 0;  // nanoseconds
  int64_t timeout = 0;
  int64_t start_period = 0;
  int64_t start_interval = 0;
  int64_t retries = 0;
};

struct History {
  std::string created;  // RFC 3339, empty: none
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
};

struct ImageConfig {
  std::string user;
  std::set<std::string> exposed_ports;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::set<std::string> volumes;
  std::string working_dir;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  bool args_escaped = false;
  std::optional<HealthcheckConfig> healthcheck;
  std::vector<std::string> on_build;
  std::vector<std::string> shell;
};

// A plain value.
struct Image {
  std::string created;
  std::string author;
  Platform platform;
  std::string rootfs_type;
  std::optional<std::vector<std::string>> diff_ids;  // unset is written as null
  std::vector<History> history;
  ImageConfig config;
};

// INVALID_ARGUMENT if `json` is no object or a member has the wrong type.
StatusOr<Image> ParseImage(std::string_view json);
std::string ImageJson(const Image& image);
// {"architecture":…,"os":…}: as in an index.
std::string PlatformJson(const Platform& platform);

}  // namespace kiln::oci
