// Mount, Device: the values of RUN --mount and RUN --device.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::dockerfile {

// One word in, one word out, with variables replaced.
using WordExpander = std::function<StatusOr<std::string>(const std::string& word)>;

struct Mount {
  std::string type = "bind";  // bind, cache, tmpfs, secret, ssh
  std::string from;
  std::string source;
  std::string target;
  bool read_only = false;
  int64_t size_limit = 0;
  std::string cache_id;
  std::string cache_sharing;  // shared, private, locked or empty
  bool required = false;
  std::optional<std::string> env;  // set but empty: the default name
  std::optional<uint64_t> mode;
  std::optional<uint64_t> uid;
  std::optional<uint64_t> gid;
};

struct Device {
  std::string name;
  bool required = false;
};

// Reads "type=cache,target=/x,…". With an empty `expand` only `from` is looked
// at, and all else is left for a second call with variables known.
StatusOr<Mount> ParseMount(std::string_view text, const WordExpander& expand);
StatusOr<Device> ParseDevice(std::string_view text);

}  // namespace kiln::dockerfile
