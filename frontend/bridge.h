// Bridge: what a frontend may ask of the build that runs it.
//
// Declared here, implemented in control (one of the three upward calls). All
// calls block; a frontend runs on a thread of its own build, never on a pool.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/platform.h"
#include "base/status.h"
#include "base/time.h"
#include "oci/attestation_chain.h"
#include "solver/progress.h"

namespace pb {
class Definition;
class SourceOp;
}  // namespace pb

namespace kiln::frontend {

using DefinitionPtr = std::shared_ptr<const pb::Definition>;
using StringMap = std::map<std::string, std::string>;

struct FileStat {
  std::string path;
  uint32_t mode = 0;  // Go's os.FileMode bits, as on the wire
  uint32_t uid = 0, gid = 0;
  int64_t size = 0;       // bytes
  int64_t mod_time = 0;   // nanoseconds
  std::string link_name;
};

struct ReadFileOptions {
  int64_t offset = 0;
  int64_t length = 0;  // 0: to the end
};

// One result of a solve: evaluated when first read. Shared; thread-safe.
class Reference {
 public:
  virtual ~Reference() = default;
  virtual StatusOr<std::string> ReadFile(std::string_view path, const ReadFileOptions&) = 0;
  virtual StatusOr<std::vector<FileStat>> ReadDir(std::string_view path,
                                                  std::string_view include_pattern) = 0;
  virtual StatusOr<FileStat> StatFile(std::string_view path) = 0;
  virtual Status Evaluate() = 0;
  virtual DefinitionPtr definition() const = 0;  // null for scratch
};
using ReferencePtr = std::shared_ptr<Reference>;  // null: scratch

struct Attestation {
  int kind = 0;  // as in gateway.proto
  StringMap metadata;
  ReferencePtr ref;
  std::string path;
  std::string in_toto_predicate_type;
  struct Subject {
    int kind = 0;
    std::string name;
    std::vector<std::string> digests;
  };
  std::vector<Subject> subjects;
};

// What a frontend returns: one reference, or one per platform id, and metadata
// ("containerimage.config", "refs.platforms", …; values are raw bytes).
struct Result {
  ReferencePtr ref;
  std::map<std::string, ReferencePtr> refs;
  StringMap metadata;
  std::map<std::string, std::vector<Attestation>> attestations;
  bool single = true;  // whether `ref` counts (may be scratch) rather than `refs`
};

struct CacheImport {
  std::string type;
  StringMap attrs;
};

struct SolveRequest {
  DefinitionPtr definition;            // either this
  std::string frontend;                // or a frontend by name
  StringMap frontend_opts = {};
  std::map<std::string, DefinitionPtr> frontend_inputs = {};
  std::vector<CacheImport> cache_imports = {};
  bool evaluate = false;
  std::vector<std::string> source_policies = {};  // serialised
};

// A further hash of a file: of its content and of `suffix` after it.
struct ChecksumRequest {
  int algorithm = 0;  // as in gateway.proto
  std::string suffix = {};
};

struct ResolveRequest {
  std::optional<Platform> platform;
  std::string resolve_mode;   // "default", "pull", "local"
  std::string log_name;
  bool need_image_config = true;
  bool attestation_chain = false;
  std::vector<std::string> attestations = {};  // predicate types; implies the chain
  std::string oci_store;      // oci-layout: store id and session
  std::string oci_session;
  bool git_return_object = false;
  std::optional<ChecksumRequest> http_checksum = {};
  std::vector<std::string> source_policies = {};  // serialised; beside those of the build
};

// Metadata of a source; the parts that do not apply stay empty.
struct SourceMeta {
  std::string identifier;     // perhaps changed by policy
  StringMap attrs;
  Digest image_digest;
  std::string image_config;   // raw JSON
  std::optional<oci::AttestationChain> attestation_chain;
  std::string git_checksum;
  std::string git_ref;
  std::string git_commit_checksum;
  std::string git_commit_object;
  std::string git_tag_object;
  Digest http_digest;
  std::string http_filename;
  std::optional<Time> http_last_modified;
  std::string http_further_digest;  // of a ChecksumRequest; algorithm and hash
  std::string http_suffix;
};

struct Warning {
  Digest vertex;
  int level = 0;
  std::string short_text;
  std::vector<std::string> detail;
  std::string url;
  std::string source_info;    // serialised pb.SourceInfo
  std::vector<solver::SourceRange> ranges;
};

struct WorkerInfo {
  std::string id;
  StringMap labels;
  std::vector<Platform> platforms;
};

// What the request for this build said.
struct BuildOpts {
  StringMap opts;
  std::string session_id;
  std::vector<WorkerInfo> workers;
  std::string product;
  std::function<bool(std::string_view cap)> supports_llb_cap;      // null: all
  std::function<bool(std::string_view cap)> supports_gateway_cap;  // null: all
};

class Bridge {
 public:
  virtual ~Bridge() = default;
  virtual const BuildOpts& build_opts() const = 0;
  virtual StatusOr<Result> Solve(const SolveRequest& request, std::stop_token stop) = 0;
  virtual StatusOr<SourceMeta> ResolveSourceMeta(const pb::SourceOp& source,
                                                 const ResolveRequest& request,
                                                 std::stop_token stop) = 0;
  virtual StatusOr<std::map<std::string, DefinitionPtr>> Inputs() = 0;
  virtual void Warn(const Warning& warning) = 0;
};

// One kind of frontend, by name ("dockerfile.v0", "gateway.v0").
class Frontend {
 public:
  virtual ~Frontend() = default;
  // Blocks; runs on the build's own thread. CANCELLED when `stop` fires.
  virtual StatusOr<Result> Solve(Bridge& bridge, std::stop_token stop) = 0;
};

}  // namespace kiln::frontend
