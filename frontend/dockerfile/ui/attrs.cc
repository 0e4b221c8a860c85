// Error texts are the reference's: clients show them as they are.
#include "frontend/dockerfile/ui/attrs.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>

#include "base/csv.h"
#include "base/strings.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

template <typename T>
StatusOr<T> ParseGoNumber(std::string_view text, std::string_view function) {
  std::string_view digits = text;
  if (digits.starts_with("+") && std::is_signed_v<T>) digits.remove_prefix(1);
  T value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value);
  const bool doubled = digits.size() != text.size() && digits.starts_with("-");
  if (digits.empty() || doubled || error == std::errc::invalid_argument || rest != end) {
    return UnknownError(StrCat("strconv.", function, ": parsing ", Quote(text), ": invalid syntax"));
  }
  if (error != std::errc()) {
    return UnknownError(
        StrCat("strconv.", function, ": parsing ", Quote(text), ": value out of range"));
  }
  return value;
}

StatusOr<std::string> ParseIp(const std::string& text) {
  std::array<unsigned char, 16> bytes;
  std::array<char, INET6_ADDRSTRLEN> buffer;
  for (int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text.c_str(), bytes.data()) != 1) continue;
    inet_ntop(family, bytes.data(), buffer.data(), buffer.size());
    // Go prints a mapped address as the IPv4 address that it is.
    return std::string(TrimPrefix(buffer.data(), "::ffff:"));
  }
  return UnknownError(StrCat("failed to parse IP ", text));
}

StatusOr<llb::Ulimit> ParseUlimit(const std::string& text) {
  static constexpr std::string_view kNames[] = {
      "core",   "cpu",    "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
      "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
  std::string_view name, limits;
  if (!StrCut(text, "=", &name, &limits)) {
    return UnknownError(StrCat("invalid ulimit argument: ", text));
  }
  bool known = false;
  for (std::string_view candidate : kNames) known = known || candidate == name;
  if (!known) return UnknownError(StrCat("invalid ulimit type: ", name));
  const auto parts = StrSplit(limits, ':');
  if (parts.size() > 2) {
    return UnknownError(StrCat("too many limit value arguments - ", limits,
                               ", can only have up to two, `soft[:hard]`"));
  }
  llb::Ulimit ulimit;
  ulimit.name = name;
  if (parts.size() == 2) {
    ASSIGN_OR_RETURN(ulimit.hard, ParseGoInt(parts[1]));
  }
  ASSIGN_OR_RETURN(ulimit.soft, ParseGoInt(parts[0]));
  if (parts.size() == 1) ulimit.hard = ulimit.soft;
  constexpr std::string_view kOrder = "ulimit soft limit must be less than or equal to hard limit: ";
  if (ulimit.hard != -1 && ulimit.soft == -1) {
    return UnknownError(StrCat(kOrder, "soft: -1 (unlimited), hard: ", ulimit.hard));
  }
  if (ulimit.hard != -1 && ulimit.soft > ulimit.hard) {
    return UnknownError(StrCat(kOrder, ulimit.soft, " > ", ulimit.hard));
  }
  return ulimit;
}

// "0-3,5": only checked, never expanded.
Status ValidateCpuset(std::string_view text) {
  constexpr int64_t kMax = 8192;
  for (std::string_view part : StrSplit(text, ',')) {
    part = TrimSpace(part);
    if (part.empty()) continue;
    std::string_view low, high;
    int64_t first = 0, last = 0;
    if (!StrCut(part, "-", &low, &high)) {
      if (!ParseInt64(part, &first) || first < 0) {
        return UnknownError(StrCat("invalid cpuset element ", Quote(part)));
      }
      if (first > kMax) {
        return UnknownError(StrCat("cpuset element ", Quote(part), " exceeds maximum ", kMax));
      }
      continue;
    }
    if (!ParseInt64(TrimSpace(low), &first) || !ParseInt64(TrimSpace(high), &last) || first < 0 ||
        last < first) {
      return UnknownError(StrCat("invalid cpuset range ", Quote(part)));
    }
    if (last > kMax) {
      return UnknownError(StrCat("cpuset range ", Quote(part), " exceeds maximum ", kMax));
    }
  }
  return OkStatus();
}

// Reads one number of the resource limits; absent or empty leaves it 0.
template <typename T>
Status ReadLimit(const frontend::StringMap& opts, const char* key, T* out) {
  auto found = opts.find(key);
  if (found == opts.end() || found->second.empty()) return OkStatus();
  const std::string& text = found->second;
  const char* function = std::is_signed_v<T> ? "ParseInt" : "ParseUint";
  StatusOr<T> number = ParseGoNumber<T>(text, function);
  const std::string what = StrCat("invalid ", key, " value: ", text);
  if (!number.ok()) return Annotate(number.status(), what);
  *out = *number;
  const bool swap = std::string_view(key) == "memswap";
  if (swap && std::is_signed_v<T> && *out == static_cast<T>(-1)) return OkStatus();
  if (*out > 0) return OkStatus();
  return UnknownError(StrCat(what, swap ? ": must be -1 (unlimited) or > 0" : ": must be > 0"));
}

Status ReadCpuset(const frontend::StringMap& opts, const char* key, std::string* out) {
  auto found = opts.find(key);
  if (found == opts.end() || found->second.empty()) return OkStatus();
  RETURN_IF_ERROR(Annotate(ValidateCpuset(found->second),
                           StrCat("invalid ", key, " value: ", found->second)));
  *out = found->second;
  return OkStatus();
}

}  // namespace

StatusOr<int64_t> ParseGoInt(std::string_view text) {
  return ParseGoNumber<int64_t>(text, "ParseInt");
}

StatusOr<std::vector<Platform>> ParsePlatforms(std::string_view text) {
  std::vector<Platform> platforms;
  for (std::string_view part : StrSplit(text, ',')) {
    StatusOr<Platform> platform = ParsePlatform(part);
    if (!platform.ok()) {
      return Annotate(platform.status(), StrCat("failed to parse target platform ", part));
    }
    platforms.push_back(NormalizePlatform(*platform));
  }
  return platforms;
}

StatusOr<llb::ResolveMode> ParseResolveMode(std::string_view text) {
  if (text.empty() || text == "default") return llb::ResolveMode::kDefault;
  if (text == "pull") return llb::ResolveMode::kForcePull;
  if (text == "local") return llb::ResolveMode::kPreferLocal;
  return UnknownError(StrCat("invalid image-resolve-mode: ", text));
}

StatusOr<std::vector<llb::HostIp>> ParseExtraHosts(std::string_view text) {
  std::vector<llb::HostIp> hosts;
  if (text.empty()) return hosts;
  ASSIGN_OR_RETURN(const std::vector<std::string> fields, CsvFields(text));
  for (const std::string& field : fields) {
    const std::string lower = ToLower(field);
    std::string_view host, ip;
    if (!StrCut(lower, "=", &host, &ip)) {
      return UnknownError(StrCat("invalid key-value pair ", field));
    }
    ASSIGN_OR_RETURN(std::string address, ParseIp(std::string(ip)));
    hosts.push_back({std::string(host), std::move(address)});
  }
  return hosts;
}

StatusOr<std::vector<llb::Ulimit>> ParseUlimits(std::string_view text) {
  std::vector<llb::Ulimit> ulimits;
  if (text.empty()) return ulimits;
  ASSIGN_OR_RETURN(const std::vector<std::string> fields, CsvFields(text));
  for (const std::string& field : fields) {
    ASSIGN_OR_RETURN(llb::Ulimit ulimit, ParseUlimit(field));
    ulimits.push_back(std::move(ulimit));
  }
  return ulimits;
}

StatusOr<llb::NetMode> ParseNetMode(std::string_view text) {
  if (text.empty() || text == "sandbox") return llb::NetMode::kSandbox;
  if (text == "none") return llb::NetMode::kNone;
  if (text == "host") return llb::NetMode::kHost;
  return UnknownError(StrCat("invalid netmode ", text));
}

StatusOr<std::optional<llb::LinuxResources>> ParseLinuxResources(const frontend::StringMap& opts) {
  llb::LinuxResources resources;
  RETURN_IF_ERROR(ReadLimit(opts, "memory", &resources.memory));
  RETURN_IF_ERROR(ReadLimit(opts, "memswap", &resources.memory_swap));
  RETURN_IF_ERROR(ReadLimit(opts, "cpushares", &resources.cpu_shares));
  RETURN_IF_ERROR(ReadLimit(opts, "cpuperiod", &resources.cpu_period));
  RETURN_IF_ERROR(ReadLimit(opts, "cpuquota", &resources.cpu_quota));
  RETURN_IF_ERROR(ReadCpuset(opts, "cpusetcpus", &resources.cpuset_cpus));
  RETURN_IF_ERROR(ReadCpuset(opts, "cpusetmems", &resources.cpuset_mems));
  const bool any = resources.memory != 0 || resources.memory_swap != 0 ||
                   resources.cpu_shares != 0 || resources.cpu_period != 0 ||
                   resources.cpu_quota != 0 || !resources.cpuset_cpus.empty() ||
                   !resources.cpuset_mems.empty();
  std::optional<llb::LinuxResources> result;
  if (any) result = resources;
  return result;
}

StatusOr<std::optional<Sbom>> ParseSbom(const frontend::StringMap& opts) {
  std::map<std::string, std::string> attests;
  for (const auto& [key, value] : opts) {
    for (std::string_view prefix : {"attest:", "build-arg:BUILDKIT_ATTEST_"}) {
      if (key.starts_with(prefix)) attests[ToLower(TrimPrefix(key, prefix))] = value;
    }
  }
  std::optional<Sbom> result;
  for (const auto& [kind, value] : attests) {
    std::vector<std::string> fields;
    if (!value.empty()) {
      StatusOr<std::vector<std::string>> parsed = CsvFields(value);
      if (!parsed.ok()) return Annotate(parsed.status(), StrCat("failed to parse ", kind));
      fields = *std::move(parsed);
    }
    if (kind != "sbom" && kind != "provenance") {
      return UnknownError(StrCat("unknown attestation type ", Quote(kind)));
    }
    if (kind != "sbom") continue;
    Sbom sbom;
    std::string generator = "docker/buildkit-syft-scanner:stable-1";
    for (const std::string& field : fields) {
      std::string_view key, setting;
      StrCut(field, "=", &key, &setting);
      if (key == "generator") {
        generator = setting;
      } else {
        sbom.parameters[std::string(key)] = setting;
      }
    }
    StatusOr<oci::Reference> reference = oci::ParseReference(generator);
    if (!reference.ok()) {
      return Annotate(reference.status(), StrCat("failed to parse sbom scanner ", generator));
    }
    sbom.generator = oci::WithDefaultTag(*reference).Text();
    result = std::move(sbom);
  }
  return result;
}

}  // namespace kiln::dockerfile
