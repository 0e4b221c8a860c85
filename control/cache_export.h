// Cache exports of a build: configured before it starts, run once its result is there.
#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "control/build_context.h"
#include "frontend/bridge.h"
#include "solver/cache_export.h"
#include "worker/exporter/exporter.h"
#include "worker/remotecache/cache_backend.h"

namespace kiln::control {

// Used by one build; Inline may be called from several threads.
class CacheExports {
 public:
  // "unknown cache exporter: …" and what the backends say of attributes. A mode or an
  // ignore-error that does not parse counts as not given.
  static StatusOr<CacheExports> Configure(const BuildContext& build);

  // Notes which keys lead to `result`. The scheduler must still know the build.
  Status Plan(const BuildContext& build, const frontend::Result& result);

  // Every export in a vertex of its own; values for the response. The first failure of
  // an export that was not told to ignore it.
  StatusOr<BuildResponse> Run(const BuildContext& build, std::stop_token stop) const;

  // Makes the records for the image config of a platform of `source`; null without an
  // inline export. "" if none of the cache's layers are in the image.
  worker::InlineCacheFn Inline(const BuildContext& build, const worker::ExportSource& source,
                               const cache::CompressionOptions& compression,
                               std::stop_token stop) const;

 private:
  struct Output {
    std::unique_ptr<worker::CacheExporter> exporter;
    solver::CacheExportOptions::Mode mode = solver::CacheExportOptions::Mode::kMin;
    bool ignore_error = false;
  };
  StatusOr<BuildResponse> RunOne(const BuildContext& build, const Output& output,
                                 std::string_view vertex, std::stop_token stop) const;

  std::vector<Output> outputs_;
  bool inline_ = false;
  std::map<std::string, solver::ExportPlan> plans_;  // by platform id, "" for a single result
};

}  // namespace kiln::control
