// Git references in URL form, in scp form ("user@host:path"), and bare
// "github.com/o/r".
#include "llb/git_ref.h"

#include <re2/re2.h>

#include "base/file.h"
#include "base/strings.h"
#include "base/url.h"

namespace kiln::llb {

namespace {

// "host://" at the start of the text, lower-cased; empty if there is none.
std::string Protocol(std::string_view text) {
  const size_t end = text.find("://");
  if (end == std::string_view::npos || end == 0) return "";
  for (char c : text.substr(0, end)) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) return "";
  }
  return ToLower(text.substr(0, end));
}

bool IsSupported(std::string_view protocol) {
  return protocol == "http" || protocol == "https" || protocol == "ssh" || protocol == "git";
}

const re2::RE2& ScpPattern() {
  static const re2::RE2 pattern("([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):(.*?)(?:\\?(.*?))?(?:#(.*))?");
  return pattern;
}

// "ref:dir" behind the '#'.
void ReadFragment(std::string_view fragment, GitUrl* url) {
  if (fragment.empty()) return;
  std::string_view ref;
  std::string_view directory;
  StrCut(fragment, ":", &ref, &directory);
  url->ref = ref;
  url->subdir = CleanPath(StrCat("/", directory)).substr(1);
}

GitUrl FromUrl(Url url) {
  GitUrl out;
  out.scheme = url.scheme;
  out.host = url.host;
  out.path = url.path;
  if (url.user.has_value()) {
    out.user = url.password.has_value() ? StrCat(*url.user, ":", *url.password) : *url.user;
  }
  out.query = ParseUrlQuery(url.raw_query);
  ReadFragment(url.fragment, &out);
  url.fragment.clear();
  url.raw_query.clear();
  out.remote = url.ToString();
  return out;
}

bool FromScp(std::string_view text, GitUrl* out) {
  std::string user;
  std::string host;
  std::string path;
  std::string query;
  std::string fragment;
  if (!re2::RE2::FullMatch(text, ScpPattern(), &user, &host, &path, &query, &fragment)) {
    return false;
  }
  out->scheme = "ssh";
  out->user = user;
  out->host = host;
  out->path = path;
  out->query = ParseUrlQuery(query);
  ReadFragment(fragment, out);
  out->remote = StrCat(user, "@", host, ":", path);
  return true;
}

Status Conflict(std::string_view what, std::string_view a, std::string_view b) {
  return UnknownError(StrCat(what, " conflicts: ", Quote(a), " vs ", Quote(b)));
}

// Query keys of a git reference. Errors are found in order of the keys.
class QueryReader {
 public:
  explicit QueryReader(GitRef* ref) : ref_(*ref) {}

  Status Read(const std::map<std::string, std::vector<std::string>>& query) {
    for (const auto& [key, values] : query) {
      RETURN_IF_ERROR(ReadOne(key, values));
    }
    RETURN_IF_ERROR(SetNamed("refs/tags/", tag_));
    if (branch_.empty()) return OkStatus();
    if (!tag_.empty()) return UnknownError("branch conflicts with tag");
    return SetNamed("refs/heads/", branch_);
  }

 private:
  Status ReadOne(const std::string& key, const std::vector<std::string>& values) {
    if (values.size() > 1) {
      return UnknownError(StrCat("query ", Quote(key), " has multiple values"));
    }
    const std::string& value = values[0];
    const bool flag = key == "submodules" || key == "keep-git-dir" || key == "fetch-by-commit";
    if (flag) return ReadFlag(key, value);
    if (value.empty()) return UnknownError(StrCat("query ", Quote(key), " has no value"));
    if (key == "ref") return Set("ref", value, &ref_.ref);
    if (key == "subdir") return Set("subdir", value, &ref_.subdir);
    if (key == "tag") {
      tag_ = value;
    } else if (key == "branch") {
      branch_ = value;
    } else if (key == "checksum" || key == "commit") {
      ref_.checksum = value;
    } else if (key != "mtime") {
      return UnknownError(StrCat("unexpected query ", Quote(key)));
    } else if (value != "checkout" && value != "commit") {
      return UnknownError(
          StrCat("invalid mtime value: ", Quote(value), " (must be \"checkout\" or \"commit\")"));
    } else {
      ref_.mtime = value;
    }
    return OkStatus();
  }

  Status ReadFlag(std::string_view key, std::string_view value) {
    bool set = true;
    if (!value.empty() && !ParseBool(value, &set)) {
      return UnknownError(StrCat("invalid ", key, " value: ", Quote(value)));
    }
    if (key == "submodules") ref_.submodules = set;
    if (key == "keep-git-dir") ref_.keep_git_dir = set;
    if (key == "fetch-by-commit") ref_.fetch_by_commit = set;
    return OkStatus();
  }

  static Status Set(std::string_view what, const std::string& value, std::string* field) {
    if (!field->empty() && *field != value) return Conflict(what, *field, value);
    *field = value;
    return OkStatus();
  }

  Status SetNamed(std::string_view prefix, const std::string& name) {
    if (name.empty()) return OkStatus();
    return Set("ref", name.starts_with(prefix) ? name : StrCat(prefix, name), &ref_.ref);
  }

  GitRef& ref_;
  std::string tag_;
  std::string branch_;
};

Status NoGitRef() { return InvalidArgumentError("invalid argument"); }

// The remote behind a reference, with the rules on which texts count as one.
StatusOr<GitUrl> ReadRemote(std::string_view text, GitRef* ref) {
  if (text.starts_with("./") || text.starts_with("../")) return NoGitRef();
  if (text.starts_with("github.com/")) {
    ref->indistinguishable_from_local = true;
    ASSIGN_OR_RETURN(Url url, ParseUrl(text));
    url.scheme = "https";
    return FromUrl(std::move(url));
  }
  ASSIGN_OR_RETURN(GitUrl url, ParseGitUrl(text));
  ref->unencrypted_tcp = url.scheme == "http" || url.scheme == "git";
  const bool http = url.scheme == "http" || url.scheme == "https";
  if (http && !url.path.ends_with(".git")) return NoGitRef();
  return url;
}

}  // namespace

StatusOr<GitUrl> ParseGitUrl(std::string_view text) {
  const std::string protocol = Protocol(text);
  if (!protocol.empty()) {
    if (!IsSupported(protocol)) return UnknownError(protocol + ": invalid protocol");
    ASSIGN_OR_RETURN(Url url, ParseUrl(text));
    return FromUrl(std::move(url));
  }
  GitUrl url;
  if (!FromScp(text, &url)) return UnknownError("unknown protocol");
  return url;
}

bool IsGitTransport(std::string_view text) {
  const std::string protocol = Protocol(text);
  return protocol.empty() ? re2::RE2::FullMatch(text, ScpPattern()) : IsSupported(protocol);
}

StatusOr<GitRef> ParseGitRef(std::string_view text, bool* is_git) {
  *is_git = false;
  GitRef ref;
  ASSIGN_OR_RETURN(GitUrl url, ReadRemote(text, &ref));
  *is_git = true;
  ref.remote = url.remote;
  if (ref.indistinguishable_from_local) ref.remote.erase(0, ref.remote.find("://") + 3);
  ref.ref = url.ref;
  ref.subdir = url.subdir;
  const size_t slash = ref.remote.rfind('/');
  ref.short_name = TrimSuffix(
      std::string_view(ref.remote).substr(slash == std::string::npos ? 0 : slash + 1), ".git");
  RETURN_IF_ERROR(QueryReader(&ref).Read(url.query));
  return ref;
}

std::string GitFragmentFormat(std::string_view text, bool with_subdir) {
  bool is_git = false;
  const StatusOr<GitRef> ref = ParseGitRef(text, &is_git);
  if (!ref.ok()) return std::string(text);
  const std::string subdir = with_subdir ? CleanPath("/" + ref->subdir).substr(1) : "";
  if (ref->ref.empty() && subdir.empty()) return ref->remote;
  return StrCat(ref->remote, "#", ref->ref, subdir.empty() ? "" : ":", subdir);
}

}  // namespace kiln::llb
