// Escaping as the reference's package-url library does it.
#include "oci/purl.h"

#include "base/strings.h"
#include "base/url.h"
#include "oci/reference.h"

namespace kiln::oci {

StatusOr<std::string> PackageUrl(std::string_view type, std::string_view ref,
                                 const std::optional<Platform>& platform,
                                 const std::vector<std::pair<std::string, std::string>>& more) {
  StatusOr<Reference> parsed = ParseReference(ref);
  if (!parsed.ok()) {
    return Annotate(parsed.status(), StrCat("failed to parse ref ", Quote(ref)));
  }
  std::vector<std::pair<std::string, std::string>> qualifiers;
  std::string version = parsed->tag;
  if (!parsed->digest.empty()) {
    qualifiers.emplace_back("digest", parsed->digest.text());
  } else {
    version = WithDefaultTag(*parsed).tag;
  }
  Reference name_only = *parsed;
  name_only.tag.clear();
  name_only.digest = Digest();
  const std::string familiar = name_only.Familiar();
  std::string url = StrCat("pkg:", type, "/"), separator;
  for (std::string_view part : StrSplit(familiar, '/')) {
    url += StrCat(separator, UrlQueryEscape(part));
    separator = "/";
  }
  if (!version.empty()) url += StrCat("@", UrlPathEscape(version));
  if (platform) {
    qualifiers.emplace_back("platform", FormatPlatform(NormalizePlatform(*platform)));
  }
  qualifiers.insert(qualifiers.end(), more.begin(), more.end());
  char mark = '?';
  for (const auto& [key, value] : qualifiers) {
    url += mark;
    url += StrCat(key, "=", UrlPathEscape(value));
    mark = '&';
  }
  return url;
}

}  // namespace kiln::oci
