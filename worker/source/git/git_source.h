// Source "git": a revision of a repository, through a shared bare clone per remote.
#pragma once

#include <memory>
#include <string>

#include "cache/ref_store.h"
#include "worker/client_session.h"
#include "worker/source/blob_query.h"
#include "worker/source/source.h"

namespace kiln::worker {

// `refs` and `sessions` must outlive the source; `temp_dir` is for mounts and sockets.
// `read_blob` is for bundles. Null if there is no git in PATH.
std::unique_ptr<Source> MakeGitSource(cache::RefStore& refs, SessionTable& sessions,
                                      std::string temp_dir, ReadBlob read_blob = {});

// Which commit `ref` names in the output of ls-remote.
struct GitResolved {
  std::string ref;            // full name, or the commit itself
  std::string commit;         // or the tag object
  std::string tagged_commit;  // what an annotated tag points to, "" otherwise
};
StatusOr<GitResolved> PickRemoteRef(std::string_view ls_remote, std::string_view ref);

}  // namespace kiln::worker
