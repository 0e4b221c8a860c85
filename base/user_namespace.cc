#include "base/user_namespace.h"

#include <sys/statvfs.h>

#include "base/file.h"
#include "base/strings.h"

namespace kiln {

bool InUserNamespace() {
  // The first namespace maps all ids, which no other can.
  static const bool inside = [] {
    StatusOr<std::string> map = ReadFile("/proc/self/uid_map");
    return map.ok() && !map->empty() && !Contains(*map, "4294967295");
  }();
  return inside;
}

std::vector<std::string> LockedMountOptions(const std::string& path) {
  constexpr struct {
    unsigned long flag;
    const char* option;
  } kOptions[] = {{ST_RDONLY, "ro"},     {ST_NODEV, "nodev"},     {ST_NOEXEC, "noexec"},
                  {ST_NOSUID, "nosuid"}, {ST_NOATIME, "noatime"}, {ST_NODIRATIME, "nodiratime"}};
  struct statvfs st = {};
  std::vector<std::string> options;
  if (::statvfs(path.c_str(), &st) != 0) return options;
  for (const auto& known : kOptions) {
    if ((st.f_flag & known.flag) != 0) options.emplace_back(known.option);
  }
  return options;
}

}  // namespace kiln
