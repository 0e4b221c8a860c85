// The grammar of image references as one regular expression, and docker's rules
// for names without a registry.
#include "oci/reference.h"

#include <re2/re2.h>

#include <algorithm>

#include "base/strings.h"

namespace kiln::oci {

namespace {

constexpr std::string_view kHub = "docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr size_t kMaxPath = 255;

// Groups: registry, path, tag, digest.
const re2::RE2& Grammar() {
  static const re2::RE2 grammar = [] {
    const std::string label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    const std::string host = StrCat("(?:", label, "(?:\\.", label, ")*|\\[[a-fA-F0-9:]+\\])");
    const std::string part = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    const std::string path = StrCat(part, "(?:/", part, ")*");
    const std::string algorithm = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*";
    return StrCat("(?:(", host, "(?::[0-9]+)?)/)?(", path, ")(?::(\\w[\\w.-]{0,127}))?(?:@(",
                  algorithm, ":[0-9a-fA-F]{32,}))?");
  }();
  return grammar;
}

bool IsLower(std::string_view text) { return ToLower(text) == text; }

// Whether the part before the first slash names a registry.
bool LooksLikeRegistry(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
         !IsLower(first);
}

// Splits off the registry and completes names of the hub's official images.
std::string Complete(std::string_view text, std::string* domain) {
  std::string_view first;
  std::string_view rest;
  *domain = kHub;
  if (!StrCut(text, "/", &first, &rest)) return StrCat(kOfficial, text);
  if (!LooksLikeRegistry(first)) return std::string(text);
  if (first != "index.docker.io") *domain = first;
  const bool official = *domain == kHub && rest.find('/') == std::string_view::npos;
  return StrCat(official ? kOfficial : "", rest);
}

bool IsImageId(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace

StatusOr<Reference> ParseReference(std::string_view text) {
  if (IsImageId(text)) {
    return UnknownError(
        StrCat("invalid repository name (", text, "), cannot specify 64-byte hexadecimal strings"));
  }
  std::string domain;
  const std::string rest = Complete(text, &domain);
  const std::string_view name = std::string_view(rest).substr(0, rest.find(':'));
  if (!IsLower(name)) {
    return UnknownError(
        StrCat("invalid reference format: repository name (", name, ") must be lowercase"));
  }
  const std::string whole = StrCat(domain, "/", rest);
  Reference reference;
  std::string digest;
  if (!re2::RE2::FullMatch(whole, Grammar(), &reference.domain, &reference.path, &reference.tag,
                           &digest)) {
    const bool lower = re2::RE2::FullMatch(ToLower(whole), Grammar());
    return UnknownError(lower ? "repository name must be lowercase" : "invalid reference format");
  }
  if (reference.path.size() > kMaxPath) {
    return UnknownError(StrCat("repository name must not be more than ", kMaxPath, " characters"));
  }
  if (!digest.empty()) {
    StatusOr<Digest> parsed = Digest::Parse(digest);
    if (!parsed.ok()) return UnknownError(parsed.status().message());
    reference.digest = *std::move(parsed);
  }
  return reference;
}

std::string Reference::Name() const { return domain.empty() ? path : StrCat(domain, "/", path); }

namespace {

std::string WithSuffixes(std::string name, const Reference& reference) {
  if (!reference.tag.empty()) name += ":" + reference.tag;
  if (!reference.digest.empty()) name += "@" + reference.digest.text();
  return name;
}

}  // namespace

std::string Reference::Text() const { return WithSuffixes(Name(), *this); }

std::string Reference::Familiar() const {
  if (domain != kHub) return Text();
  const std::string_view short_path = TrimPrefix(path, kOfficial);
  const bool nested = short_path.find('/') != std::string_view::npos;
  return WithSuffixes(nested ? path : std::string(short_path), *this);
}

Reference WithDefaultTag(Reference reference) {
  if (reference.name_only()) reference.tag = "latest";
  return reference;
}

}  // namespace kiln::oci
