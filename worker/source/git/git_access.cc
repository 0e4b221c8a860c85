#include "worker/source/git/git_access.h"

#include <unistd.h>

#include <chrono>

#include "base/file.h"
#include "base/strings.h"
#include "llb/git_ref.h"
#include "worker/op/client_mounts.h"

namespace kiln::worker {
namespace {

constexpr std::chrono::seconds kSessionWait{5};

}  // namespace

Status ParseGitAttribute(const std::string& key, const std::string& value, GitIdentifier* id) {
  if (key == "git.keepgitdir") id->keep_git_dir = value == "true";
  if (key == "git.fullurl") {
    id->remote = llb::IsGitTransport(value) ? value : StrCat("https://", value);
  }
  if (key == "git.authheadersecret") id->header_secret = value;
  if (key == "git.authtokensecret") id->token_secret = value;
  if (key == "git.knownsshhosts") id->known_hosts = value;
  if (key == "git.mountsshsock") id->ssh_sock = value;
  if (key == "git.checksum") id->checksum = value;
  if (key == "git.skipsubmodules") id->skip_submodules = value == "true";
  if (key == "git.mtime") id->mtime = value;
  if (key == "git.fetchbycommit") id->fetch_by_commit = value == "true";
  if (key.starts_with("git.sig.")) id->check_signature = true;
  if (key == "git.sig.pubkey") id->signature_keys = value;
  if (key == "git.sig.rejectexpired") id->reject_expired = value == "true";
  if (key == "git.sig.requiresignedtag") id->require_signed_tag = value == "true";
  if (key == "git.sig.ignoresignedtag") id->ignore_signed_tag = value == "true";
  if (key == "git.bundle") id->bundle = value;
  if (key == "git.checkoutbundle") id->checkout_bundle = value == "true";
  if (key == "oci.session") id->bundle_session = value;
  if (key == "oci.store") id->bundle_store = value;
  return OkStatus();
}

GitAccess::~GitAccess() {
  if (!cli.known_hosts.empty()) ::unlink(cli.known_hosts.c_str());
}

Status GitAccess::Open(solver::JobContext& context) {
  cli.stop = context.stop();
  cli.log = [&context](int stream, std::string_view bytes) {
    context.progress().Log(stream, bytes);
  };
  RETURN_IF_ERROR(AddAuth(context));
  if (!id_.known_hosts.empty()) {
    cli.known_hosts = JoinPath(shared_.temp_dir, "known-hosts-" + NewId());
    RETURN_IF_ERROR(WriteFileAtomic(cli.known_hosts, id_.known_hosts, 0600));
  }
  return id_.ssh_sock.empty() ? OkStatus() : AddSsh(context);
}

Status GitAccess::AddAuth(solver::JobContext& context) {
  StatusOr<llb::GitUrl> url = llb::ParseGitUrl(id_.remote);
  if (!url.ok() || (url->scheme != "http" && url->scheme != "https")) return OkStatus();
  std::vector<std::pair<std::string, bool>> names;  // name, is a token
  for (const std::string& suffix : {"." + url->host, std::string()}) {
    if (!id_.header_secret.empty()) names.emplace_back(id_.header_secret + suffix, false);
    if (!id_.token_secret.empty()) names.emplace_back(id_.token_secret + suffix, true);
  }
  for (const auto& [name, is_token] : names) {
    std::string value;
    Status got =
        WithAnySession(shared_.sessions, context.Sessions(), [&](ClientSession& session) -> Status {
          ASSIGN_OR_RETURN(value, session.GetSecret(name));
          return OkStatus();
        });
    if (!got.ok()) continue;
    if (is_token) value = "basic " + Base64Encode("x-access-token:" + value);
    cli.config = {"-c", StrCat("http.", url->scheme, "://", url->host,
                               "/.extraheader=Authorization: ", value)};
    break;
  }
  return OkStatus();
}

Status GitAccess::AddSsh(solver::JobContext& context) {
  std::string session_id;
  Status got =
      WithAnySession(shared_.sessions, context.Sessions(), [&](ClientSession& session) -> Status {
        RETURN_IF_ERROR(session.CheckSshAgent(id_.ssh_sock));
        session_id = session.id();
        return OkStatus();
      });
  if (got.code() == StatusCode::kUnimplemented) {
    return NotFoundError(StrCat("no SSH key ", Quote(id_.ssh_sock), " forwarded from the client"));
  }
  RETURN_IF_ERROR(got);
  ASSIGN_OR_RETURN(ClientSessionPtr session, shared_.sessions.Get(session_id, kSessionWait));
  ASSIGN_OR_RETURN(ssh_, MakeSshMount(shared_.temp_dir, std::move(session), id_.ssh_sock,
                                      {::geteuid(), ::getegid(), 0700}));
  cli.ssh_auth_sock = ssh_.mounts.front().source;
  return OkStatus();
}

}  // namespace kiln::worker
