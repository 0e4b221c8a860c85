// Reading, writing and normalising platforms. What runs what is platform_match.cc.
#include "base/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"

namespace kiln {

namespace {

constexpr std::string_view kOsPattern =
    "^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)((?:\\+[A-Za-z0-9_.%-]+)*)\\))?$";
constexpr std::string_view kPartPattern = "^[A-Za-z0-9_.-]+$";

constexpr std::array<std::string_view, 17> kSystems = {
    "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
    "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos"};
constexpr std::array<std::string_view, 24> kArchitectures = {
    "386",     "amd64",   "amd64p32", "arm",    "armbe",  "arm64",    "arm64be",   "ppc64",
    "ppc64le", "loong64", "mips",     "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le",
    "ppc",     "riscv",   "riscv64",  "s390",   "s390x",  "sparc",    "sparc64",   "wasm"};

template <size_t N>
bool IsKnown(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool AllOf(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [more](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || more.find(c) != std::string_view::npos;
  });
}

Status Invalid(std::string text) { return InvalidArgumentError(text + ": invalid argument"); }

// "linux", "windows(10.0+win32k)": name, version and "+feature…".
bool SplitOs(std::string_view text, std::array<std::string_view, 3>* parts) {
  *parts = {};
  const size_t open = text.find('(');
  (*parts)[0] = text.substr(0, open);
  if ((*parts)[0].empty() || !AllOf((*parts)[0], "_-")) return false;
  if (open == std::string_view::npos) return true;
  if (!text.ends_with(')')) return false;
  const std::string_view inner = text.substr(open + 1, text.size() - open - 2);
  const size_t plus = std::min(inner.find('+'), inner.size());
  (*parts)[1] = inner.substr(0, plus);
  (*parts)[2] = inner.substr(plus);
  return AllOf((*parts)[1], "_.%-") && AllOf((*parts)[2], "_.%-+") &&
         !Contains((*parts)[2], "++") && !(*parts)[2].ends_with('+');
}

StatusOr<std::string> DecodeOption(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const StatusOr<std::string> byte = HexDecode(ToLower(text.substr(i + 1, 2)));
    if (!byte.ok() || byte->size() != 1) {
      return UnknownError(StrCat("invalid URL escape ", Quote(text.substr(i, 3))));
    }
    out += *byte;
    i += 2;
  }
  return out;
}

std::string EncodeOption(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '%':
        out += "%25";
        break;
      case '+':
        out += "%2B";
        break;
      case '(':
        out += "%28";
        break;
      case ')':
        out += "%29";
        break;
      case '/':
        out += "%2F";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string NormalizeOs(std::string_view os) {
  if (os.empty()) return "linux";
  std::string lower = ToLower(os);
  return lower == "macos" ? "darwin" : lower;
}

void NormalizeArm64(std::string* variant) {
  if (*variant == "8" || *variant == "v8" || *variant == "v8.0") variant->clear();
  if (*variant == "9" || *variant == "9.0" || *variant == "v9.0") *variant = "v9";
}

void NormalizeArm(std::string* variant) {
  if (variant->empty() || *variant == "7") *variant = "v7";
  if (*variant == "5" || *variant == "6" || *variant == "8") variant->insert(0, "v");
}

void NormalizeArchitecture(std::string* architecture, std::string* variant) {
  *architecture = ToLower(*architecture);
  *variant = ToLower(*variant);
  if (*architecture == "i386") {
    *architecture = "386";
    variant->clear();
  } else if (*architecture == "x86_64" || *architecture == "x86-64" || *architecture == "amd64") {
    *architecture = "amd64";
    if (*variant == "v1") variant->clear();
  } else if (*architecture == "aarch64" || *architecture == "arm64") {
    *architecture = "arm64";
    NormalizeArm64(variant);
  } else if (*architecture == "armhf" || *architecture == "armel") {
    *variant = *architecture == "armhf" ? "v7" : "v6";
    *architecture = "arm";
  } else if (*architecture == "arm") {
    NormalizeArm(variant);
  }
}

// Go's path.Join: empty parts vanish.
std::string JoinParts(std::string_view os, const Platform& platform) {
  return CleanPath(StrCat(os, "/", platform.architecture, "/", platform.variant));
}

// Without a variant arm means v7, and is written so.
void DropDefaultArm(Platform* platform) {
  if (platform->architecture == "arm" && platform->variant == "v7") platform->variant.clear();
}

Status ReadOsPart(std::string_view part, std::string_view whole, Platform* platform) {
  std::array<std::string_view, 3> pieces;
  if (!SplitOs(part, &pieces)) {
    return Invalid(StrCat(Quote(part), " is an invalid OS component of ", Quote(whole),
                          ": OSAndVersion specifier component must match ", Quote(kOsPattern)));
  }
  platform->os = NormalizeOs(pieces[0]);
  StatusOr<std::string> version = DecodeOption(pieces[1]);
  if (!version.ok()) {
    return Annotate(version.status(),
                    StrCat(Quote(whole), " has an invalid OS version ", Quote(pieces[1])));
  }
  platform->os_version = *version;
  if (pieces[2].empty()) return OkStatus();
  for (std::string_view raw : StrSplit(pieces[2].substr(1), '+')) {
    StatusOr<std::string> feature = DecodeOption(raw);
    if (!feature.ok()) {
      return Annotate(
          feature.status(),
          StrCat(Quote(whole), " has invalid OS features: ", "invalid os feature ", Quote(raw)));
    }
    if (!feature->empty()) platform->os_features.push_back(*feature);
  }
  return OkStatus();
}

// A single word: a system, or else an architecture.
StatusOr<Platform> FromOneWord(std::string_view text, Platform platform) {
  const Platform host = DefaultPlatform();
  if (IsKnown(kSystems, platform.os)) {
    platform.architecture = host.architecture;
    if (host.architecture == "arm") platform.variant = host.variant;
    DropDefaultArm(&platform);
    return platform;
  }
  platform.architecture = text;
  NormalizeArchitecture(&platform.architecture, &platform.variant);
  DropDefaultArm(&platform);
  if (!IsKnown(kArchitectures, platform.architecture)) {
    return Invalid(StrCat(Quote(text), ": unknown operating system or architecture"));
  }
  platform.os = host.os;
  return platform;
}

}  // namespace

StatusOr<Platform> ParsePlatform(std::string_view text) {
  if (text.find('*') != std::string_view::npos) {
    return Invalid(StrCat(Quote(text), ": wildcards not yet supported"));
  }
  const std::vector<std::string_view> parts = StrSplitN(text, '/', 4);
  Platform platform;
  RETURN_IF_ERROR(ReadOsPart(parts[0], text, &platform));
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!parts[i].empty() && AllOf(parts[i], "_.-")) continue;
    return Invalid(StrCat(Quote(parts[i]), " is an invalid component of ", Quote(text),
                          ": platform specifier component must match ", Quote(kPartPattern)));
  }
  if (parts.size() == 1) return FromOneWord(parts[0], std::move(platform));
  if (parts.size() > 3) return Invalid(StrCat(Quote(text), ": cannot parse platform specifier"));
  platform.architecture = parts[1];
  if (parts.size() == 3) platform.variant = parts[2];
  NormalizeArchitecture(&platform.architecture, &platform.variant);
  if (parts.size() == 2) {
    DropDefaultArm(&platform);
  } else if (platform.architecture == "arm64" && platform.variant.empty()) {
    platform.variant = "v8";
  }
  return platform;
}

std::string FormatPlatform(const Platform& platform) {
  if (platform.os.empty()) return "unknown";
  return JoinParts(platform.os, platform);
}

std::string FormatPlatformAll(const Platform& platform) {
  if (platform.os.empty()) return "unknown";
  std::vector<std::string> features = platform.os_features;
  std::sort(features.begin(), features.end());
  features.erase(std::unique(features.begin(), features.end()), features.end());
  std::string options = EncodeOption(platform.os_version);
  for (const std::string& feature : features) {
    if (!feature.empty()) options += "+" + EncodeOption(feature);
  }
  if (options.empty()) return FormatPlatform(platform);
  const std::string os = StrCat(platform.os, "(", options, ")");
  return JoinParts(os, platform);
}

Platform NormalizePlatform(const Platform& platform) {
  Platform out = platform;
  out.os = NormalizeOs(out.os);
  NormalizeArchitecture(&out.architecture, &out.variant);
  std::sort(out.os_features.begin(), out.os_features.end());
  out.os_features.erase(std::unique(out.os_features.begin(), out.os_features.end()),
                        out.os_features.end());
  return out;
}

Platform DefaultPlatform() {
  utsname machine = {};
  Platform host{.os = "linux", .architecture = "amd64"};
  if (::uname(&machine) != 0) return host;
  const std::string_view name = machine.machine;
  if (name.starts_with("armv")) {
    host.architecture = "arm";
    host.variant = name.substr(3, 2);
  } else if (name == "i686" || name == "i586") {
    host.architecture = "386";
  } else {
    host.architecture = name;
  }
  return NormalizePlatform(host);
}

}  // namespace kiln
