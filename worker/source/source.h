// Source: how the bytes behind a SourceOp come in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/platform.h"
#include "base/status.h"
#include "base/time.h"
#include "cache/ref.h"
#include "solver/op.h"

namespace kiln::worker {

// What a source says of itself without its tree; the parts that do not apply stay empty.
struct SourceMetadata {
  std::string git_checksum;         // of the commit, or of an annotated tag's object
  std::string git_ref;
  std::string git_commit_checksum;  // of an annotated tag
  std::string git_commit_object;    // only if asked for
  std::string git_tag_object;
  Digest http_digest;
  std::string http_filename;
  std::optional<Time> http_last_modified;
  std::string http_further_digest;  // only if asked for
};

// What to tell beside what costs nothing.
struct MetadataRequest {
  bool git_objects = false;
  // A further hash of a file: of its content and of `suffix` after it.
  struct Checksum {
    int algorithm = 0;  // 0: sha256, 1: sha384, 2: sha512
    std::string suffix = {};
  };
  std::optional<Checksum> http_checksum = {};
};

// One resolved source of one vertex: its keys, then its tree.
class SourceInstance {
 public:
  virtual ~SourceInstance() = default;
  // Cache key number `index`; `complete` false if another may follow.
  struct Key {
    std::string key;       // text; the op hashes it with the identifier's scheme as the reference does
    bool complete = true;
    // What the source turned out to be, for provenance: the digest of an image or a
    // file, the commit of a repository (whose address with its ref is `url`).
    std::string pin = {};
    std::string url = {};
  };
  virtual StatusOr<Key> CacheKey(int index, solver::JobContext& context) = 0;
  virtual StatusOr<cache::Ref> Snapshot(solver::JobContext& context) = 0;
  // For frontends; may fetch. UNIMPLEMENTED where there is nothing to tell.
  virtual StatusOr<SourceMetadata> Metadata([[maybe_unused]] const MetadataRequest& request,
                                            [[maybe_unused]] solver::JobContext& context) {
    return UnimplementedError("the source has no metadata");
  }
};

// One scheme: "docker-image", "local", "git", "http", "oci-layout" …
class Source {
 public:
  virtual ~Source() = default;
  virtual std::vector<std::string> schemes() const = 0;
  // INVALID_ARGUMENT for identifiers or attributes that do not parse.
  virtual StatusOr<std::unique_ptr<SourceInstance>> Resolve(
      std::string_view scheme, std::string_view reference,
      const std::map<std::string, std::string>& attrs, const std::optional<Platform>& platform) = 0;
};

}  // namespace kiln::worker
