// Times of sources are fixed, so that every run gives the same.
#include "frontend/dockerfile/offline/offline_bridge.h"

#include "base/strings.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

namespace kiln::dockerfile {
namespace {

class OfflineReference : public frontend::Reference {
 public:
  OfflineReference(frontend::DefinitionPtr definition, std::string local, FileLookup files)
      : definition_(std::move(definition)), local_(std::move(local)), files_(std::move(files)) {}

  StatusOr<std::string> ReadFile(std::string_view path,
                                 const frontend::ReadFileOptions& options) override {
    ASSIGN_OR_RETURN(std::string text, files_(local_, std::string(path)));
    const auto offset = std::min(static_cast<size_t>(options.offset), text.size());
    const size_t length =
        options.length > 0 ? static_cast<size_t>(options.length) : std::string::npos;
    return text.substr(offset, length);
  }
  StatusOr<std::vector<frontend::FileStat>> ReadDir(std::string_view, std::string_view) override {
    return std::vector<frontend::FileStat>();
  }
  StatusOr<frontend::FileStat> StatFile(std::string_view path) override {
    ASSIGN_OR_RETURN(const std::string text, files_(local_, std::string(path)));
    frontend::FileStat stat;
    stat.path = path;
    stat.mode = 0644;
    stat.size = static_cast<int64_t>(text.size());
    return stat;
  }
  Status Evaluate() override { return OkStatus(); }
  frontend::DefinitionPtr definition() const override { return definition_; }

 private:
  frontend::DefinitionPtr definition_;
  std::string local_;
  FileLookup files_;
};

// Name of the local directory that a definition loads, if that is all it does.
std::string LocalOf(const pb::Definition& definition) {
  pb::Op op;
  if (definition.def_size() != 2 || !op.ParseFromString(definition.def(0))) return "";
  const std::string& identifier = op.source().identifier();
  return identifier.starts_with("local://") ? identifier.substr(8) : "";
}

}  // namespace

OfflineBridge::OfflineBridge(frontend::BuildOpts opts, ImageCatalog images, FileLookup files,
                             std::map<std::string, frontend::DefinitionPtr> inputs)
    : opts_(std::move(opts)),
      images_(std::move(images)),
      files_(std::move(files)),
      inputs_(std::move(inputs)) {}

StatusOr<frontend::Result> OfflineBridge::Solve(const frontend::SolveRequest& request,
                                                std::stop_token) {
  {
    std::lock_guard lock(mutex_);
    solves_.push_back(request);
  }
  frontend::Result result;
  if (request.definition != nullptr) {
    result.ref = std::make_shared<OfflineReference>(request.definition,
                                                    LocalOf(*request.definition), files_);
  }
  return result;
}

StatusOr<frontend::SourceMeta> OfflineBridge::ResolveSourceMeta(
    const pb::SourceOp& source, const frontend::ResolveRequest& request, std::stop_token) {
  frontend::SourceMeta meta;
  meta.identifier = source.identifier();
  const std::string_view identifier = meta.identifier;
  for (std::string_view scheme : {"docker-image://", "oci-layout://"}) {
    if (!identifier.starts_with(scheme)) continue;
    ASSIGN_OR_RETURN(ImageCatalog::Found found,
                     images_.Find(std::string(TrimPrefix(identifier, scheme)),
                                  request.platform.value_or(DefaultPlatform())));
    meta.image_digest = found.digest;
    meta.image_config = std::move(found.config);
    return meta;
  }
  if (identifier.starts_with("git://")) {
    meta.git_commit_object =
        "tree 0\nauthor A <a@example.com> 1700000000 +0000\n"
        "committer A <a@example.com> 1700000000 +0000\n\nmessage\n";
  } else if (identifier.starts_with("http://") || identifier.starts_with("https://")) {
    meta.http_last_modified = Time::FromSeconds(1710000000);
  }
  return meta;
}

void OfflineBridge::Warn(const frontend::Warning& warning) {
  std::lock_guard lock(mutex_);
  warnings_.push_back(warning);
}

std::vector<frontend::Warning> OfflineBridge::warnings() const {
  std::lock_guard lock(mutex_);
  return warnings_;
}

std::vector<frontend::SolveRequest> OfflineBridge::solves() const {
  std::lock_guard lock(mutex_);
  return solves_;
}

std::string StableDefinition(const pb::Definition& definition) {
  pb::Definition stable = definition;
  std::map<std::string, std::string> names;
  for (const std::string& bytes : definition.def()) {
    auto found = stable.mutable_metadata()->find(Digest::Of(bytes).text());
    if (found == stable.mutable_metadata()->end() || !found->second.has_progress_group()) continue;
    pb::ProgressGroup* group = found->second.mutable_progress_group();
    auto [entry, added] = names.try_emplace(group->id());
    if (added) entry->second = StrCat("progress-group-", names.size());
    group->set_id(entry->second);
  }
  return llb::MarshalDeterministic(stable);
}

}  // namespace kiln::dockerfile
