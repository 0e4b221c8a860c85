// GitUrl, GitRef: texts that name a git repository, a revision and a directory
// in it ("https://host/r.git#main:docs", "git@host:r", "…?branch=x").
//
// Only the text is looked at; nothing is fetched.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::llb {

// A remote that git understands, with the build-specific parts cut off.
struct GitUrl {
  std::string scheme;  // http, https, ssh, git
  std::string host;    // with port
  std::string path;
  std::string user;  // "name" or "name:password"; may be empty
  std::map<std::string, std::vector<std::string>> query;
  std::string ref;     // of the fragment
  std::string subdir;  // of the fragment, cleaned
  std::string remote;  // URL without query and fragment
};
// UNKNOWN "unknown protocol", "x: invalid protocol", or Go's URL error.
StatusOr<GitUrl> ParseGitUrl(std::string_view text);
// Whether git would be asked for this text at all.
bool IsGitTransport(std::string_view text);

// What a build context or ADD source means by it.
struct GitRef {
  std::string remote;
  std::string short_name;  // "r" for ".../r.git"
  std::string ref;
  std::string checksum;
  std::string subdir;
  bool indistinguishable_from_local = false;  // "github.com/o/r": deprecated
  bool unencrypted_tcp = false;               // git:// and http://
  std::optional<bool> keep_git_dir;
  std::optional<bool> submodules;
  std::string mtime;  // "", "checkout" or "commit"
  bool fetch_by_commit = false;
};
// `*is_git` says whether the text is a git reference; it can be one and still be
// an error (bad query). INVALID_ARGUMENT "invalid argument" for what is none.
StatusOr<GitRef> ParseGitRef(std::string_view text, bool* is_git);
// "remote#ref:subdir"; the text itself if it is no git reference.
std::string GitFragmentFormat(std::string_view text, bool with_subdir);

}  // namespace kiln::llb
