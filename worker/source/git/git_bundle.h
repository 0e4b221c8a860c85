// Bundles: repositories as single files (git-bundle(1)), which are blobs elsewhere.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "solver/op.h"
#include "worker/source/git/git_access.h"

namespace kiln::worker {

// Of a locator "docker-image+blob://ref@digest" or "oci-layout+blob://…"; the texts of errors
// are the reference's.
StatusOr<BlobQuery> ParseBundleLocator(std::string_view text);
// Whether the attributes about bundles go with the others.
Status CheckBundleAttributes(const GitIdentifier& id);
// The full name that the commit has in a bundle, for the ref that was asked for.
std::string BundleRef(std::string_view ref);

// The bundle of a source, unpacked into a repository that goes in the destructor.
class StagedBundle {
 public:
  // Fails unless the commit that was asked for is in it.
  static StatusOr<std::shared_ptr<const StagedBundle>> Open(const GitShared& shared,
                                                            const GitIdentifier& id,
                                                            solver::JobContext& context);
  std::string url() const { return "file://" + repository_; }
  bool sha256() const { return sha256_; }

 private:
  explicit StagedBundle(TempDir dir) : dir_(std::move(dir)) {}
  TempDir dir_;
  std::string repository_;
  bool sha256_ = false;
};

// Writes the file "bundle" into `target`: `commit` of `clone`, under the name of `ref`.
Status WriteBundle(const GitCli& clone, const std::string& commit, const std::string& ref,
                   const std::string& temp_dir, const std::string& target);

}  // namespace kiln::worker
