// Trees of a result as folders, for the exporters that hand out files.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "cache/mount.h"
#include "worker/exporter/export_options.h"

namespace kiln::worker {

struct FileOptions {
  EpochOption epoch;
  std::string attestation_prefix;
  std::optional<bool> platform_split;
  bool split(bool many) const { return platform_split.value_or(many); }
};
StatusOr<FileOptions> TakeFileOptions(Attrs& attrs);

// One platform's tree under a path of the host, as long as this lives.
struct ExportTree {
  std::string id;                    // of the platform
  std::string path;
  std::optional<int64_t> epoch;      // every entry's time, if set
  std::shared_ptr<void> lease;
  // Statements about the tree, to be told with it: name and text.
  std::map<std::string, std::string> statements = {};
  std::string folder() const;        // the id as a folder name
};

// Mounts the trees of all platforms, in order. Blocking.
StatusOr<std::vector<ExportTree>> OpenTrees(const ExportSource& source,
                                            const FileOptions& options,
                                            const std::string& temp_dir, std::stop_token stop);

}  // namespace kiln::worker
