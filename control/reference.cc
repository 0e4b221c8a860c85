// Evaluation through the scheduler, reading through a read-only mount.
#include "control/reference.h"

#include <unordered_set>
#include <vector>

#include "base/file.h"
#include "base/trace.h"
#include "control/file_reader.h"
#include "llb/proto/ops.pb.h"
#include "llb/wire_field.h"

namespace kiln::control {
namespace {

constexpr std::string_view kVertexUrl = "github.com/moby/buildkit/errdefs.Vertex+json";
constexpr std::string_view kSourceUrl = "github.com/moby/buildkit/errdefs.Source+json";

// The digest of an errdefs.Vertex, in either form: {"digest":"…"} or field 1.
std::string DigestOfDetail(const std::string& bytes) {
  if (size_t start = bytes.find("sha256:"); bytes.starts_with('{') && start != bytes.npos) {
    return bytes.substr(start, bytes.find('"', start) - start);
  }
  if (bytes.size() < 2 || bytes[0] != '\x0a') return {};
  auto size = static_cast<unsigned char>(bytes[1]);  // a digest's text is shorter than 128
  return bytes.substr(2, size);
}

// errdefs.Source{info = 1, ranges = 2}, which belongs to api/proto.
std::string SourceDetail(const pb::SourceInfo& info, const pb::Location& location) {
  std::string bytes;
  llb::AppendWireField(&bytes, 1, info.SerializeAsString());
  for (const pb::Range& range : location.ranges()) {
    llb::AppendWireField(&bytes, 2, range.SerializeAsString());
  }
  return bytes;
}

// The name that the definition has for a vertex.
std::string DeclaredDigest(const llb::Edge& edge, const std::string& digest) {
  std::unordered_set<const llb::Vertex*> seen;
  std::vector<const llb::Vertex*> open = {edge.vertex.get()};
  while (!open.empty()) {
    const llb::Vertex* vertex = open.back();
    open.pop_back();
    if (vertex == nullptr || !seen.insert(vertex).second) continue;
    if (vertex->digest.text() == digest) return vertex->declared.text();
    for (const llb::Edge& input : vertex->inputs) open.push_back(input.vertex.get());
  }
  return digest;
}

}  // namespace

SolvedReference::SolvedReference(BuildContextPtr build, ProvenanceScopePtr scope,
                                 frontend::DefinitionPtr definition, llb::Edge edge,
                                 std::vector<std::shared_ptr<solver::CacheSource>> cache_sources)
    : build_(std::move(build)),
      scope_(std::move(scope)),
      definition_(std::move(definition)),
      edge_(std::move(edge)),
      cache_sources_(std::move(cache_sources)) {}

Status SolvedReference::Evaluate() { return internal::AsStatus(Get()); }

StatusOr<const solver::EdgeResult*> SolvedReference::Get() {
  std::lock_guard lock(mutex_);
  if (failure_) return *failure_;
  if (!result_) {
    if (edge_.vertex == nullptr) {
      result_.emplace();
      return &*result_;
    }
    auto result = build_->services->scheduler->SolveAndWait(
        build_->request.id, edge_, {.cache_sources = cache_sources_}, build_->stop.get_token());
    if (!result.ok()) {
      failure_ = Traced(WithSources(result.status()));
      return *failure_;
    }
    result_ = *std::move(result);
    if (build_->services->find_pin) {
      scope_->Record(this, CaptureGraph(edge_, build_->services->find_pin,
                                       build_->services->find_proxied,
                                       build_->services->find_usage));
    }
  }
  return &*result_;
}

// errdefs.Solve with what the definition says of a step: op = 3, description = 6.
std::string SolvedReference::StepDetail(const std::string& digest) const {
  std::string bytes;
  for (const std::string& op : definition_->def()) {
    if (Digest::Of(op).text() == digest) llb::AppendWireField(&bytes, 3, op);
  }
  auto metadata = definition_->metadata().find(digest);
  if (metadata == definition_->metadata().end()) return bytes;
  for (const auto& [key, value] : metadata->second.description()) {
    std::string entry;
    llb::AppendWireField(&entry, 1, key);
    llb::AppendWireField(&entry, 2, value);
    llb::AppendWireField(&bytes, 6, entry);
  }
  return bytes;
}

Status SolvedReference::WithSources(Status status) const {
  const StatusDetail* detail = status.FindDetail(kVertexUrl);
  if (detail == nullptr || definition_ == nullptr) return status;
  const std::string digest = DeclaredDigest(edge_, DigestOfDetail(detail->bytes));
  status.AddDetail(kStepUrl, StepDetail(digest));
  if (!definition_->has_source()) return status;
  const pb::Source& source = definition_->source();
  auto locations = source.locations().find(digest);
  if (locations == source.locations().end()) return status;
  for (const pb::Location& location : locations->second.locations()) {
    if (location.sourceindex() < 0 || location.sourceindex() >= source.infos_size()) continue;
    status.AddDetail(kSourceUrl, SourceDetail(source.infos(location.sourceindex()), location));
  }
  return status;
}

StatusOr<std::string> SolvedReference::MountedPath() {
  ASSIGN_OR_RETURN(const solver::EdgeResult* result, Get());
  std::lock_guard lock(mutex_);
  if (!mount_) {
    cache::RefStore& refs = *build_->services->refs;
    cache::MountLease lease;
    if (!result->ref.empty()) {
      ASSIGN_OR_RETURN(lease, result->ref.Mount(/*readonly=*/true, build_->stop.get_token()));
    } else {
      ASSIGN_OR_RETURN(std::string empty, MakeTempDir(refs.temp_dir(), "scratch-"));
      lease.mounts.push_back({"bind", empty, {"rbind", "ro"}});
      lease.lease = std::make_shared<TempDir>(empty);
    }
    ASSIGN_OR_RETURN(auto mount, cache::LocalMount::Open(std::move(lease), refs.temp_dir()));
    mount_.emplace(std::move(mount));
  }
  return mount_->path();
}

StatusOr<std::string> SolvedReference::ReadFile(std::string_view path,
                                                const frontend::ReadFileOptions& options) {
  ASSIGN_OR_RETURN(std::string root, MountedPath());
  return ReadFileIn(root, path, options);
}

StatusOr<std::vector<frontend::FileStat>> SolvedReference::ReadDir(
    std::string_view path, std::string_view include_pattern) {
  ASSIGN_OR_RETURN(std::string root, MountedPath());
  return ReadDirIn(root, path, include_pattern);
}

StatusOr<frontend::FileStat> SolvedReference::StatFile(std::string_view path) {
  ASSIGN_OR_RETURN(std::string root, MountedPath());
  return StatFileIn(root, path);
}

StatusOr<cache::Ref> RefOf(const frontend::ReferencePtr& reference) {
  if (reference == nullptr) return cache::Ref();
  ASSIGN_OR_RETURN(const solver::EdgeResult* result,
                   static_cast<SolvedReference&>(*reference).Get());
  return result->ref.Clone();
}

}  // namespace kiln::control
