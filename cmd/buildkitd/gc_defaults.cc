#include "cmd/buildkitd/gc_defaults.h"

#include <sys/statvfs.h>

#include "base/file.h"

namespace kiln::buildkitd {
namespace {

constexpr int64_t kMega = 1'000'000;
constexpr int64_t kGiga = 1'000'000'000;
constexpr int64_t kHour = int64_t{3600} * 1'000'000'000;
constexpr int64_t kUnknownDisk = 2 * kGiga;  // what a share of a disk of unknown size is

// Size in bytes of the disk that holds `root`, or its nearest parent; 0 if unknown.
int64_t DiskTotal(std::string root) {
  struct statvfs st{};
  while (::statvfs(root.c_str(), &st) != 0) {
    std::string parent = DirName(root);
    if (parent == root) return 0;
    root = parent;
  }
  return static_cast<int64_t>(st.f_frsize * st.f_blocks);
}

int64_t AsBytes(const DiskSpace& space, int64_t total) {
  if (space.bytes != 0) return space.bytes;
  if (space.percentage == 0) return 0;
  if (total == 0) return kUnknownDisk;
  int64_t share = total * space.percentage / 100;
  return (share / (int64_t{1} << 30) + 1) * kGiga;  // rounded up, as the reference counts it
}

bool Unset(const GcConfig& config) {
  return config.reserved_space.unset() && config.max_used_space.unset() &&
         config.min_free_space.unset();
}

// 10 % of the disk but at most 10 GB reserved, 80 % but at most 100 GB used, 20 % free.
GcConfig WithDefaults(GcConfig config, int64_t total) {
  if (Unset(config)) config.reserved_space = config.keep_storage;
  if (!Unset(config)) return config;
  DiskSpace reserved{0, 10};
  if (AsBytes(reserved, total) > 10 * kGiga) reserved = {10 * kGiga, 0};
  DiskSpace maximum{0, 80};
  if (AsBytes(maximum, total) > 100 * kGiga) maximum = {100 * kGiga, 0};
  config.reserved_space = reserved;
  config.min_free_space = {0, 20};
  config.max_used_space = maximum;
  return config;
}

std::vector<GcPolicyConfig> DefaultPolicies(const GcConfig& config) {
  GcPolicyConfig cheap;  // what is easiest to make again, after two days
  cheap.filters = {"type==source.local", "type==exec.cachemount", "type==source.git.checkout"};
  cheap.keep_duration = 48 * kHour;
  cheap.max_used_space = {512 * kMega, 0};
  GcPolicyConfig sized;
  sized.reserved_space = config.reserved_space;
  sized.max_used_space = config.max_used_space;
  sized.min_free_space = config.min_free_space;
  GcPolicyConfig old = sized;
  old.keep_duration = 60 * 24 * kHour;
  GcPolicyConfig everything = sized;
  everything.all = true;
  return {cheap, old, sized, everything};
}

}  // namespace

std::vector<GcRule> GcRules(const GcConfig& config, const std::string& root) {
  if (config.gc && !*config.gc) return {};
  int64_t total = DiskTotal(root);
  std::vector<GcPolicyConfig> policies =
      config.policies.empty() ? DefaultPolicies(WithDefaults(config, total)) : config.policies;
  std::vector<GcRule> rules;
  for (const GcPolicyConfig& policy : policies) {
    DiskSpace reserved =
        policy.reserved_space.unset() ? policy.keep_bytes : policy.reserved_space;
    rules.push_back({policy.all, policy.filters, policy.keep_duration, AsBytes(reserved, total),
                     AsBytes(policy.max_used_space, total),
                     AsBytes(policy.min_free_space, total)});
  }
  return rules;
}

std::string FormatGcConfig(const GcConfig& config, const std::string& root) {
  int64_t total = DiskTotal(root);
  GcConfig filled = WithDefaults(config, total);
  std::string text = StrCat(AsBytes(filled.reserved_space, 0) / kMega);
  int64_t free = AsBytes(filled.min_free_space, total) / kMega;
  int64_t maximum = AsBytes(filled.max_used_space, total) / kMega;
  if (free != 0 || maximum != 0) text += StrCat(",", free);
  if (maximum != 0) text += StrCat(",", maximum);
  return text;
}

Status ParseKeepStorage(std::string_view text, GcConfig* config) {
  config->reserved_space = config->min_free_space = config->max_used_space = {};
  DiskSpace* order[] = {&config->reserved_space, &config->min_free_space,
                        &config->max_used_space};
  if (text.empty()) return OkStatus();
  size_t index = 0;
  for (std::string_view part : StrSplitN(text, ',', 3)) {
    int64_t megabytes = 0;
    if (!ParseInt64(TrimSpace(part), &megabytes)) {
      return InvalidArgumentError(
          StrCat("strconv.ParseInt: parsing ", Quote(TrimSpace(part)), ": invalid syntax"));
    }
    order[index++]->bytes = megabytes * kMega;
  }
  return OkStatus();
}

}  // namespace kiln::buildkitd
