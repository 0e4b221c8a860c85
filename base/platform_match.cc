// Which platform's images a machine can run, and which of them it runs best.
#include <algorithm>
#include <array>
#include <optional>

#include "base/platform.h"
#include "base/strings.h"

namespace kiln {

namespace {

// The first three numbers of a Windows version.
struct WindowsVersion {
  uint64_t major = 0;
  uint64_t minor = 0;
  uint64_t build = 0;
  bool empty() const { return major == 0 && minor == 0 && build == 0; }
};

WindowsVersion ReadWindowsVersion(std::string_view text) {
  const std::vector<std::string_view> parts = StrSplit(text, '.');
  WindowsVersion version;
  if (parts.size() < 3 || !ParseUint64(parts[0], &version.major) ||
      !ParseUint64(parts[1], &version.minor) || !ParseUint64(parts[2], &version.build) ||
      version.major > 255 || version.minor > 255 || version.build > 65535) {
    return {};
  }
  return version;
}

// Hosts before Server 2022 need the very build; later ones run all builds since the
// long-term release before their own.
bool WindowsRuns(std::string_view host_text, std::string_view image_text) {
  constexpr std::array<uint64_t, 2> kLongTermReleases = {20348, 26100};
  const WindowsVersion host = ReadWindowsVersion(host_text);
  if (host.empty() || image_text.empty()) return true;
  const WindowsVersion image = ReadWindowsVersion(image_text);
  if (host.major != image.major || host.minor != image.minor) return false;
  if (host.build < kLongTermReleases[0]) return host.build == image.build;
  uint64_t oldest = kLongTermReleases[0];
  for (uint64_t release : kLongTermReleases) {
    if (host.build > release) oldest = release;
  }
  return oldest <= image.build && image.build <= host.build;
}

// `have` is normalised.
bool Matches(const Platform& have, const Platform& image) {
  Platform wanted = NormalizePlatform(image);
  if (have.os != wanted.os || have.architecture != wanted.architecture ||
      have.variant != wanted.variant) {
    return false;
  }
  if (have.os == "windows") {
    if (!WindowsRuns(have.os_version, wanted.os_version)) return false;
    std::erase(wanted.os_features, "win32k");
  }
  return std::includes(have.os_features.begin(), have.os_features.end(), wanted.os_features.begin(),
                       wanted.os_features.end());
}

std::optional<int> VersionNumber(std::string_view variant) {
  int64_t number = 0;
  if (!ParseInt64(TrimPrefix(variant, "v"), &number) || number > 100) return std::nullopt;
  return static_cast<int>(number);
}

// arm64 "v9.2" runs v9.2 … v9.0 and v8.7 … v8.0. False if the variant is unknown.
bool Arm64Variants(std::string_view variant, std::vector<std::string>* out) {
  std::string_view major_text;
  std::string_view minor_text;
  StrCut(variant.empty() ? "v8" : variant, ".", &major_text, &minor_text);
  uint64_t minor = 0;
  if (!minor_text.empty() && !ParseUint64(minor_text, &minor)) return false;
  const bool v9 = major_text == "v9";
  if ((!v9 && major_text != "v8") || minor > (v9 ? 7u : 9u)) return false;
  auto down = [out](std::string_view major, uint64_t from) {
    for (uint64_t i = from; i > 0; --i) out->push_back(StrCat(major, ".", i));
    out->emplace_back(major);
  };
  down(major_text, minor);
  if (v9) down("v8", std::min<uint64_t>(minor + 5, 9));
  return true;
}

// What a machine of this platform runs, best first.
std::vector<Platform> Runnable(const Platform& machine) {
  std::vector<Platform> list;
  auto add = [&](std::string_view architecture, std::string variant) {
    Platform platform = machine;
    platform.architecture = architecture;
    platform.variant = std::move(variant);
    list.push_back(NormalizePlatform(platform));
  };
  const std::optional<int> version = VersionNumber(machine.variant);
  if (machine.architecture == "arm64") {
    std::vector<std::string> variants;
    if (!Arm64Variants(machine.variant, &variants)) return list;
    for (std::string& variant : variants) add("arm64", std::move(variant));
    for (int i = 8; i >= 5; --i) add("arm", StrCat("v", i));
    return list;
  }
  list.push_back(NormalizePlatform(machine));
  if (machine.architecture == "amd64") {
    for (int i = version.value_or(1) - 1; i >= 1; --i) add("amd64", StrCat("v", i));
    add("386", "");
  } else if (machine.architecture == "arm") {
    for (int i = version.value_or(5) - 1; i >= 5; --i) add("arm", StrCat("v", i));
  }
  return list;
}

bool Better(const std::vector<Platform>& order, Platform a, Platform b) {
  while (true) {
    for (const Platform& have : order) {
      const bool runs_a = Matches(have, a);
      const bool runs_b = Matches(have, b);
      if (runs_a && runs_b) return a.os_features.size() > b.os_features.size();
      if (runs_a || runs_b) return runs_a;
    }
    if (a.os_features.empty() && b.os_features.empty()) return false;
    a.os_features.clear();
    b.os_features.clear();
  }
}

}  // namespace

bool PlatformMatchesOnly(const Platform& have, const Platform& wanted) {
  for (const Platform& platform : Runnable(NormalizePlatform(have))) {
    if (Matches(platform, wanted)) return true;
  }
  return false;
}

bool PlatformMatchesStrict(const Platform& have, const Platform& wanted) {
  return Matches(NormalizePlatform(have), wanted);
}

bool PlatformBetter(const Platform& have, const Platform& a, const Platform& b) {
  return Better(Runnable(NormalizePlatform(have)), a, b);
}

}  // namespace kiln
