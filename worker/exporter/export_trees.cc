// Mounted trees of a result. See export_trees.h.
#include "worker/exporter/export_trees.h"

#include "base/strings.h"

namespace kiln::worker {

StatusOr<FileOptions> TakeFileOptions(Attrs& attrs) {
  FileOptions options;
  RETURN_IF_ERROR(TakeEpoch(attrs, options.epoch));
  for (const auto& [key, value] : attrs) {
    if (key == "attestation-prefix") options.attestation_prefix = value;
    if (key == "platform-split") {
      bool split = false;
      if (!ParseBool(value, &split)) {
        return UnknownError(StrCat("non-bool value for platform-split: ", value,
                                   ": strconv.ParseBool: parsing ", Quote(value),
                                   ": invalid syntax"));
      }
      options.platform_split = split;
    }
    if (key == "mode") {
      std::string mode = ToLower(TrimSpace(value));
      if (!mode.empty() && mode != "copy" && mode != "delete") {
        return UnknownError(StrCat("invalid local exporter mode ", Quote(value)));
      }
    }
  }
  return options;
}

std::string ExportTree::folder() const { return ReplaceAll(id, "/", "_"); }

StatusOr<std::vector<ExportTree>> OpenTrees(const ExportSource& source,
                                            const FileOptions& options,
                                            const std::string& temp_dir, std::stop_token stop) {
  bool many = !source.refs.empty();
  if (many && !source.metadata.contains("refs.platforms")) {
    return UnknownError("unable to export multiple refs, missing platforms mapping");
  }
  ASSIGN_OR_RETURN(std::vector<ExportPlatform> platforms, ParsePlatforms(source.metadata));
  if (!many && platforms.size() > 1) {
    return UnknownError("unable to export multiple platforms without map");
  }
  std::vector<ExportTree> trees;
  for (const ExportPlatform& platform : platforms) {
    bool found = false;
    const cache::Ref* ref = FindRef(source, platform.id, &found);
    if (!found && many) return UnknownError(StrCat("failed to find ref for ID ", platform.id));
    ExportTree tree;
    tree.id = platform.id;
    if (options.epoch) {
      tree.epoch = *options.epoch;
    } else {
      ASSIGN_OR_RETURN(tree.epoch, SourceEpoch(source.metadata, platform.id));
    }
    if (ref == nullptr) {
      ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir, "scratch"));
      tree.path = path;
      tree.lease = std::make_shared<TempDir>(std::move(path));
    } else {
      ASSIGN_OR_RETURN(cache::MountLease lease, ref->Mount(true, stop));
      ASSIGN_OR_RETURN(cache::LocalMount mount,
                       cache::LocalMount::Open(std::move(lease), temp_dir));
      auto kept = std::make_shared<cache::LocalMount>(std::move(mount));
      tree.path = kept->path();
      tree.lease = std::move(kept);
    }
    trees.push_back(std::move(tree));
  }
  return trees;
}

}  // namespace kiln::worker
