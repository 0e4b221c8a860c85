// See request_check.h.
#include "control/request_check.h"

#include <algorithm>
#include <set>

#include "base/go_json.h"
#include "base/platform.h"
#include "base/strings.h"
#include "worker/exporter/export_options.h"

namespace kiln::control {
namespace {

std::vector<std::string> PlatformsAskedFor(const frontend::StringMap& opts) {
  auto asked = opts.find("platform");
  if (asked == opts.end()) return {FormatPlatform(NormalizePlatform(DefaultPlatform()))};
  std::vector<std::string> platforms;
  for (std::string_view platform : StrSplit(asked->second, ',')) platforms.emplace_back(platform);
  return platforms;
}

std::string NormalText(const Platform& platform) {
  return FormatPlatformAll(NormalizePlatform(platform));
}

}  // namespace

void NoteRequest(const frontend::StringMap& opts, frontend::Result* result) {
  constexpr std::string_view kLabel = "label:";
  GoJsonObject request, labels;
  for (const auto& [key, value] : opts) {
    if (key.starts_with(kLabel)) labels.String(key.substr(kLabel.size()), value);
  }
  auto id = opts.find("requestid");
  request.Raw("Platforms", GoJsonArray(PlatformsAskedFor(opts)));
  request.Raw("Labels", labels.Finish());
  request.String("Request", id == opts.end() ? "" : id->second);
  result->metadata["verifier.requestopts"] = request.Finish();
}

StatusOr<std::vector<std::string>> CheckPlatforms(const frontend::StringMap& opts,
                                                  const std::map<std::string, std::string>& metadata,
                                                  size_t refs, bool empty) {
  std::vector<std::string> warnings;
  if (!metadata.contains("refs.platforms")) {
    if (refs > 0) {
      return UnknownError("build result contains multiple refs without platforms mapping");
    }
    if (empty) return warnings;
  }
  ASSIGN_OR_RETURN(auto results, worker::ParsePlatforms(metadata));
  std::vector<std::string> asked;
  std::set<std::string> wanted;
  for (const std::string& text : PlatformsAskedFor(opts)) {
    StatusOr<Platform> platform = ParsePlatform(text);
    if (!platform.ok()) {
      warnings.push_back(StrCat("Invalid platform result requested ", Quote(text), ": ",
                                platform.status().message()));
      continue;
    }
    asked.push_back(NormalText(*platform));
    if (!wanted.insert(asked.back()).second) {
      warnings.push_back(StrCat("Duplicate platform result requested ", Quote(text)));
    }
  }
  if (!warnings.empty()) return warnings;
  if (wanted.size() == 1 && results.size() == 1) {
    // A request seldom names a version of the system.
    Platform plain = results[0].platform;
    std::string text = NormalText(plain);
    plain.os_version.clear();
    if (wanted.contains(text) || wanted.contains(NormalText(plain))) return warnings;
    return std::vector<std::string>{StrCat("Requested platform ",
                                           Quote(PlatformsAskedFor(opts)[0]),
                                           " does not match result platform ", Quote(text))};
  }
  if (refs == 0 && wanted.size() > 1) {
    return std::vector<std::string>{
        "Multiple platforms requested but result is not multi-platform"};
  }
  bool match = wanted.size() == results.size();
  std::vector<std::string> got;
  for (const auto& result : results) {
    got.push_back(NormalText(result.platform));
    match = match && wanted.contains(got.back());
  }
  if (!match) {
    std::sort(asked.begin(), asked.end());
    std::sort(got.begin(), got.end());
    warnings.push_back(StrCat("Requested platforms ", StrJoin(asked, ","),
                              " do not match result platforms ", StrJoin(got, ",")));
  }
  return warnings;
}

}  // namespace kiln::control
