// What a git source is asked for, and one run's credentials. Internal to this folder.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/strings.h"
#include "cache/mount.h"
#include "cache/ref_store.h"
#include "solver/op.h"
#include "worker/client_session.h"
#include "worker/source/blob_query.h"
#include "worker/source/git/git_cli.h"

namespace kiln::worker {

struct GitIdentifier {
  std::string remote, ref, checksum, subdir, mtime;
  std::string token_secret, header_secret, ssh_sock, known_hosts;
  // Signatures: nothing is checked unless one of the attributes is there.
  bool check_signature = false, reject_expired = false;
  bool require_signed_tag = false, ignore_signed_tag = false;
  std::string signature_keys;
  bool keep_git_dir = false, skip_submodules = false, fetch_by_commit = false;
  std::string bundle;  // locator of the file that is asked instead of the remote
  std::string bundle_session, bundle_store;
  bool checkout_bundle = false;  // the tree is a bundle of the commit

  // What decides the tree, beside the commit.
  std::string Key(const std::string& commit, const std::string& full_ref) const {
    std::string key = commit;
    if (keep_git_dir) {
      key += ".git";
      if (!full_ref.empty()) key += "#" + full_ref;
    }
    if (!subdir.empty()) key += ":" + subdir;
    if (skip_submodules) key += "(skip-submodules)";
    if (!mtime.empty() && mtime != "checkout") key += StrCat("(mtime=", mtime, ")");
    if (checkout_bundle) key += "(bundle)";
    return key;
  }
};

// Unknown keys are left alone.
Status ParseGitAttribute(const std::string& key, const std::string& value, GitIdentifier* id);

// One clone per remote is written by one step at a time.
class RemoteLocks {
 public:
  std::unique_lock<std::mutex> Lock(const std::string& remote) {
    std::mutex* one = nullptr;
    {
      std::lock_guard lock(mutex_);
      one = &locks_[remote];
    }
    return std::unique_lock(*one);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::mutex> locks_;
};

struct GitShared {
  cache::RefStore& refs;
  SessionTable& sessions;
  std::string temp_dir;
  RemoteLocks locks;
  ReadBlob read_blob = {};  // may be empty: no bundles
};

// The session's credentials for one run of git. Used by one thread.
class GitAccess {
 public:
  GitAccess(GitShared& shared, const GitIdentifier& id) : shared_(shared), id_(id) {}
  ~GitAccess();  // removes the file of known hosts
  // Output of git goes to the vertex's log.
  Status Open(solver::JobContext& context);
  GitCli cli;

 private:
  Status AddAuth(solver::JobContext& context);
  Status AddSsh(solver::JobContext& context);

  GitShared& shared_;
  const GitIdentifier& id_;
  cache::MountLease ssh_;
};

}  // namespace kiln::worker
