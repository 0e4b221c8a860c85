// TrustBundle: a certificate among those that the programs of a tree trust, for a while.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "base/rooted.h"
#include "base/status.h"

namespace kiln::worker::proxy {

// Takes the certificate out again in the destructor, and nothing else: programs may have
// changed the bundle meanwhile. If none did it is as before, time included.
class TrustBundle {
 public:
  // Adds `pem` to the first bundle that the tree has; null if it has none, or knows the
  // certificate. A tree that cannot be written gives FAILED_PRECONDITION; see Find.
  static StatusOr<std::unique_ptr<TrustBundle>> Add(const RootedTree& tree,
                                                    const std::string& pem);
  // Where the bundle of the tree is, with links resolved, and what it would hold then.
  // Both empty if there is none.
  struct Found {
    std::string path;
    std::string text;
  };
  static StatusOr<Found> Find(const RootedTree& tree, const std::string& pem);
  ~TrustBundle();
  TrustBundle(const TrustBundle&) = delete;
  TrustBundle& operator=(const TrustBundle&) = delete;

 private:
  TrustBundle() = default;
  Status Remove() const;

  RootedTree::Parent place_;
  std::string pem_;
  std::string original_;
  std::string written_;
  struct stat before_ = {};
};

}  // namespace kiln::worker::proxy
