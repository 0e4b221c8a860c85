// Source ops: an identifier and attributes, in the reference's names.
#include "llb/source.h"

#include <map>
#include <utility>

#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "llb/git_ref.h"
#include "llb/graph.h"
#include "llb/node.h"
#include "llb/ssh_keyscan.h"

namespace kiln::llb {
namespace {

using Attrs = std::map<std::string, std::string>;

class SourceNode : public Node {
 public:
  SourceNode(std::string identifier, Attrs attrs, Constraints constraints)
      : identifier_(std::move(identifier)),
        attrs_(std::move(attrs)),
        constraints_(std::move(constraints)) {}

  std::vector<Output> Inputs() const override { return {}; }
  void ReleaseInputs(std::vector<Output>*) override {}
  std::optional<Platform> OutputPlatform() const override { return constraints_.platform; }

  StatusOr<MarshalledNode> Marshal(const Marshaller& marshaller) const override {
    if (identifier_.empty()) return UnknownError("source identifier can't be empty");
    MarshalledNode out;
    Constraints own = constraints_;
    Attrs attrs = attrs_;
    if (identifier_.starts_with("local://") && !attrs.contains("local.session")) {
      attrs["local.unique"] = marshaller.options().local_unique_id;
      own.Need(kCapSourceLocalUnique);
    }
    pb::Op op = marshaller.NewOp(own, &out.metadata);
    if (!identifier_.starts_with("docker-image://") && !identifier_.starts_with("oci-layout://")) {
      op.clear_platform();
    }
    op.mutable_source()->set_identifier(identifier_);
    for (auto& [key, value] : attrs) (*op.mutable_source()->mutable_attrs())[key] = value;
    out.bytes = MarshalDeterministic(op);
    out.locations = own.locations;
    return out;
  }

 private:
  std::string identifier_;
  Attrs attrs_;
  Constraints constraints_;
};

void SetList(const char* key, const std::vector<std::string>& values, std::string_view cap,
             Attrs* attrs, Constraints* constraints) {
  if (values.empty()) return;
  (*attrs)[key] = GoJsonArray(values);
  constraints->Need(cap);
}

void SetText(const char* key, const std::string& value, std::string_view cap, Attrs* attrs,
             Constraints* constraints) {
  if (value.empty()) return;
  (*attrs)[key] = value;
  constraints->Need(cap);
}

std::string Octal(int number) {
  std::string digits;
  for (; number > 0; number /= 8) digits.insert(digits.begin(), static_cast<char>('0' + number % 8));
  return digits;
}

// The same for all protocols of one host and path.
std::string GitIdentifier(const GitUrl& url, const GitOptions& options) {
  std::string id = url.host + CleanPath("/" + url.path);
  if (options.ref.empty() && options.subdir.empty()) return id;
  id += "#" + options.ref;
  if (!options.subdir.empty()) id += ":" + options.subdir;
  return id;
}

}  // namespace

std::string_view ResolveModeText(ResolveMode mode) {
  switch (mode) {
    case ResolveMode::kForcePull:
      return "pull";
    case ResolveMode::kPreferLocal:
      return "local";
    default:
      return "default";
  }
}

State Source(std::string identifier, Attrs attrs, Constraints constraints) {
  return State(Output{std::make_shared<SourceNode>(std::move(identifier), std::move(attrs),
                                                   std::move(constraints))});
}

State Image(std::string_view reference, ImageOptions options) {
  Attrs attrs;
  options.constraints.Need(kCapSourceImage);
  if (options.resolve_mode != ResolveMode::kDefault) {
    attrs["image.resolvemode"] = ResolveModeText(options.resolve_mode);
    // Only the mode that must not be ignored asks for the capability.
    if (options.resolve_mode == ResolveMode::kForcePull) {
      options.constraints.Need(kCapSourceImageResolveMode);
    }
  }
  if (!options.record_type.empty()) attrs["image.recordtype"] = options.record_type;
  return Source(StrCat("docker-image://", reference), std::move(attrs),
                std::move(options.constraints));
}

State OciLayout(std::string_view reference, OciLayoutOptions options) {
  Attrs attrs;
  if (!options.session_id.empty()) attrs["oci.session"] = options.session_id;
  if (!options.store_id.empty()) attrs["oci.store"] = options.store_id;
  options.constraints.Need(kCapSourceOciLayout);
  return Source(StrCat("oci-layout://", reference), std::move(attrs),
                std::move(options.constraints));
}

State Local(std::string_view name, LocalOptions options) {
  Attrs attrs;
  Constraints* own = &options.constraints;
  SetText("local.session", options.session_id, kCapSourceLocalSessionId, &attrs, own);
  SetList("local.includepattern", options.include_patterns, kCapSourceLocalIncludePatterns, &attrs,
          own);
  SetList("local.followpaths", options.follow_paths, kCapSourceLocalFollowPaths, &attrs, own);
  SetList("local.excludepatterns", options.exclude_patterns, kCapSourceLocalExcludePatterns, &attrs,
          own);
  SetText("local.sharedkeyhint", options.shared_key_hint, kCapSourceLocalSharedKeyHint, &attrs,
          own);
  if (!options.differ.empty()) {
    attrs["local.differ"] = options.differ;
    if (options.differ_required) own->Need(kCapSourceLocalDiffer);
  }
  own->Need(kCapSourceLocal);
  return Source(StrCat("local://", name), std::move(attrs), std::move(options.constraints));
}

State Http(std::string_view url, HttpOptions options) {
  Attrs attrs;
  Constraints* own = &options.constraints;
  SetText("http.checksum", options.checksum, kCapSourceHttpChecksum, &attrs, own);
  if (!options.filename.empty()) attrs["http.filename"] = options.filename;
  if (options.perm != 0) {
    SetText("http.perm", "0" + Octal(options.perm), kCapSourceHttpPerm, &attrs, own);
  }
  if (options.uid != 0) SetText("http.uid", StrCat(options.uid), kCapSourceHttpUidGid, &attrs, own);
  if (options.gid != 0) SetText("http.gid", StrCat(options.gid), kCapSourceHttpUidGid, &attrs, own);
  own->Need(kCapSourceHttp);
  return Source(std::string(url), std::move(attrs), std::move(options.constraints));
}

State Git(std::string_view remote, GitOptions options) {
  Attrs attrs;
  Constraints* own = &options.constraints;
  StatusOr<GitUrl> url = ParseGitUrl(remote);
  if (!url.ok() && url.status().message() == "unknown protocol") {
    url = ParseGitUrl(StrCat("https://", remote));
  }
  const std::string full = url.ok() ? url->remote : std::string(remote);
  // A remote that does not parse fails later, where git says why.
  const std::string id = url.ok() ? GitIdentifier(*url, options) : full;
  if (options.keep_git_dir) SetText("git.keepgitdir", "true", kCapSourceGitKeepDir, &attrs, own);
  SetText("git.fullurl", full, kCapSourceGitFullUrl, &attrs, own);
  attrs["git.authtokensecret"] = "GIT_AUTH_TOKEN";
  attrs["git.authheadersecret"] = "GIT_AUTH_HEADER";
  if (url.ok() && url->scheme == "ssh") {
    std::string hosts = options.known_ssh_hosts;
    if (hosts.empty()) hosts = ScanSshKey(url->host);  // best effort
    if (!hosts.empty()) attrs["git.knownsshhosts"] = std::move(hosts);
    attrs["git.mountsshsock"] =
        options.mount_ssh_sock.empty() ? "default" : options.mount_ssh_sock;
    own->Need(kCapSourceGitKnownSshHosts).Need(kCapSourceGitMountSshSock);
  }
  SetText("git.checksum", options.checksum, kCapSourceGitChecksum, &attrs, own);
  if (options.skip_submodules) {
    SetText("git.skipsubmodules", "true", kCapSourceGitSkipSubmodules, &attrs, own);
  }
  SetText("git.mtime", options.mtime, kCapSourceGitMTime, &attrs, own);
  if (options.fetch_by_commit) {
    SetText("git.fetchbycommit", "true", kCapSourceGitFetchByCommit, &attrs, own);
  }
  own->Need(kCapSourceGit);
  return Source("git://" + id, std::move(attrs), std::move(options.constraints));
}

}  // namespace kiln::llb
