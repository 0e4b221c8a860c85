// Who a step runs as: USER text against the passwd and group files of its tree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rooted.h"
#include "base/status.h"
#include "worker/exec/runtime_spec.h"

namespace kiln::worker::exec {

struct PasswdEntry {
  std::string name;
  int64_t uid = 0;
  int64_t gid = 0;
};
struct GroupEntry {
  std::string name;
  int64_t gid = 0;
  std::vector<std::string> members;
};

// Lines that misbehave give entries with what could be read of them, as libc does.
std::vector<PasswdEntry> ParsePasswd(std::string_view text);
std::vector<GroupEntry> ParseGroup(std::string_view text);

// The file's text; NOT_FOUND if it is missing or no regular file, RESOURCE_EXHAUSTED above 10 MiB.
StatusOr<std::string> ReadUserFile(const RootedTree& tree, std::string_view path);

// "" | name | uid | name-or-uid:name-or-gid. Errors in the reference's words.
StatusOr<ContainerUser> FindUser(const RootedTree& tree, std::string_view user);

}  // namespace kiln::worker::exec
