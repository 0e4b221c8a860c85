#include "frontend/dockerfile/convert/remote_source.h"

#include "base/file.h"
#include "base/url.h"
#include "llb/git_ref.h"

namespace kiln::dockerfile {

bool IsGitSource(std::string_view source) {
  bool is_git = false;
  return llb::ParseGitRef(source, &is_git).ok();
}

bool IsHttpSource(std::string_view source) {
  if (!source.starts_with("http://") && !source.starts_with("https://")) return false;
  return !IsGitSource(source);
}

std::string HttpFilename(const std::string& url) {
  StatusOr<Url> parsed = ParseUrl(url);
  if (!parsed.ok()) return "__unnamed__";
  const std::string base = BaseName(parsed->path);
  return base == "." || base == "/" ? "__unnamed__" : base;
}

}  // namespace kiln::dockerfile
