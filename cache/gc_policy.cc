#include "cache/gc_policy.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/strings.h"

namespace kiln::cache {
namespace {

constexpr int64_t kHour = int64_t{3600} * 1'000'000'000;
constexpr int64_t kGigabyte = 1'000'000'000;

}  // namespace

StatusOr<DiskSpace> DiskSpaceOf(const std::string& path) {
  struct statvfs st{};
  if (::statvfs(path.c_str(), &st) != 0) {
    return ErrnoStatus(errno, StrCat("could not stat fs at ", path));
  }
  auto bytes = [&](uint64_t blocks) { return static_cast<int64_t>(blocks * st.f_frsize); };
  return DiskSpace{bytes(st.f_blocks), bytes(st.f_bfree), bytes(st.f_bavail)};
}

int64_t StorageAmount::AsBytes(const DiskSpace& disk) const {
  if (bytes != 0) return bytes;
  if (percentage == 0) return 0;
  if (disk.total == 0) return 2 * kGigabyte;
  int64_t part = disk.total * percentage / 100;
  return (part / (int64_t{1} << 30) + 1) * kGigabyte;
}

StatusOr<StorageAmount> StorageAmount::Parse(std::string_view text) {
  StorageAmount amount;
  std::string_view shown = text;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  if (text.empty()) return amount;
  if (text.ends_with('%')) {
    if (!ParseInt64(text.substr(0, text.size() - 1), &amount.percentage)) {
      return InvalidArgumentError(StrCat("invalid disk space ", shown));
    }
    return amount;
  }
  // As go-units reads sizes of memory: k, m, g, t, p, each 1024 times the last.
  std::string lower = ToLower(text);
  char* end = nullptr;
  double number = std::strtod(lower.c_str(), &end);
  std::string_view unit = TrimSpace(end);
  bool valid = end != lower.c_str() && number >= 0;
  int64_t scale = 1;
  if (!unit.empty() && unit != "b") {
    size_t power = std::string_view("kmgtp").find(unit[0]);
    valid = valid && power != std::string_view::npos &&
            (unit.size() == 1 || unit.substr(1) == "b" || unit.substr(1) == "ib");
    for (size_t i = 0; valid && i <= power; ++i) scale *= 1024;
  }
  if (!valid) return InvalidArgumentError(StrCat("invalid disk space ", shown));
  amount.bytes = static_cast<int64_t>(number * static_cast<double>(scale));
  return amount;
}

GcLimits DefaultGcLimits(const DiskSpace& disk) {
  GcLimits limits{{0, 10}, {0, 80}, {0, 20}};
  if (limits.reserved.AsBytes(disk) > 10 * kGigabyte) limits.reserved = {10 * kGigabyte, 0};
  if (limits.max_used.AsBytes(disk) > 100 * kGigabyte) limits.max_used = {100 * kGigabyte, 0};
  return limits;
}

std::vector<GcPolicy> DefaultGcPolicy(GcLimits limits, const DiskSpace& disk) {
  if (!limits.reserved.set() && !limits.max_used.set() && !limits.min_free.set()) {
    limits = DefaultGcLimits(disk);
  }
  GcPolicy base;
  base.reserved_bytes = limits.reserved.AsBytes(disk);
  base.max_used_bytes = limits.max_used.AsBytes(disk);
  base.min_free_bytes = limits.min_free.AsBytes(disk);
  GcPolicy cheap;
  cheap.filters = {"type==source.local", "type==exec.cachemount", "type==source.git.checkout"};
  cheap.keep_duration_nanos = 48 * kHour;
  cheap.max_used_bytes = 512'000'000;
  GcPolicy old = base;
  old.keep_duration_nanos = 60 * 24 * kHour;
  GcPolicy all = base;
  all.all = true;
  return {cheap, old, base, all};
}

int64_t KeepBytes(int64_t total_size, const DiskSpace& disk, const PruneOptions& options) {
  if (options.max_used_bytes == 0 && options.reserved_bytes == 0 && options.min_free_bytes == 0) {
    return 0;
  }
  int64_t keep = options.max_used_bytes;
  if (int64_t excess = options.min_free_bytes - disk.free; excess > 0) {
    keep = keep == 0 ? total_size - excess : std::min(keep, total_size - excess);
  } else if (options.min_free_bytes != 0 && keep == 0) {
    keep = total_size;
  }
  return std::max(keep, options.reserved_bytes);
}

}  // namespace kiln::cache
