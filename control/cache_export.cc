// Keys from the scheduler, layers from the refs, documents by the backends.
#include "control/cache_export.h"

#include <thread>

#include "base/strings.h"
#include "cache/remote/cache_document.h"
#include "control/reference.h"
#include "control/vertex.h"

namespace kiln::control {
namespace {

using Mode = solver::CacheExportOptions::Mode;

std::string Attr(const frontend::StringMap& attrs, const std::string& key) {
  auto found = attrs.find(key);
  return found == attrs.end() ? std::string() : found->second;
}

const cache::Ref* RefFor(const worker::ExportSource& source, const std::string& platform) {
  if (source.refs.empty()) return source.ref ? &*source.ref : nullptr;
  auto found = source.refs.find(platform);
  return found == source.refs.end() ? nullptr : &found->second;
}

StatusOr<std::string> InlineFor(const BuildContext& build, const solver::ExportPlan& plan,
                                const cache::Ref& ref, const solver::CacheExportOptions& options) {
  StatusOr<cache::Remote> image = ref.GetRemote(true, options.compression, options.stop);
  if (!image.ok()) return std::string();
  std::vector<Digest> layers;
  for (const cache::Layer& layer : image->layers) layers.push_back(layer.blob.digest);
  cache::CacheChains chains;
  RETURN_IF_ERROR(solver::ExportCache(plan, *build.services->ops, options, chains));
  return cache::InlineRecords(chains.Marshal(), layers);
}

}  // namespace

StatusOr<CacheExports> CacheExports::Configure(const BuildContext& build) {
  CacheExports exports;
  for (const CacheExportRequest& request : build.request.cache_exports) {
    worker::CacheBackends* caches = build.services->caches;
    if (caches == nullptr) {
      return UnknownError(StrCat("unknown cache exporter: ", Quote(request.type)));
    }
    Output output;
    ASSIGN_OR_RETURN(output.exporter,
                     caches->Export(request.type, request.attrs, build.request.session));
    if (output.exporter->is_inline()) {
      exports.inline_ = true;
      continue;
    }
    if (Attr(request.attrs, "mode") == "max") output.mode = Mode::kMax;
    if (!ParseBool(Attr(request.attrs, "ignore-error"), &output.ignore_error)) {
      output.ignore_error = false;
    }
    exports.outputs_.push_back(std::move(output));
  }
  return exports;
}

Status CacheExports::Plan(const BuildContext& build, const frontend::Result& result) {
  if (outputs_.empty() && !inline_) return OkStatus();
  auto plan = [&](const std::string& platform, const frontend::ReferencePtr& ref) -> Status {
    if (ref == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(const solver::EdgeResult* solved, static_cast<SolvedReference&>(*ref).Get());
    if (solved->keys.empty()) return OkStatus();
    plans_[platform] = build.services->scheduler->PlanExport(solved->keys);
    return OkStatus();
  };
  if (result.refs.empty()) return plan("", result.ref);
  for (const auto& [platform, ref] : result.refs) RETURN_IF_ERROR(plan(platform, ref));
  return OkStatus();
}

StatusOr<BuildResponse> CacheExports::Run(const BuildContext& build, std::stop_token stop) const {
  std::vector<StatusOr<BuildResponse>> done(outputs_.size(), BuildResponse());
  {
    auto run = [&](size_t i) {
      std::string vertex = StrCat(build.request.session, "-cache-", i);
      done[i] = RunOne(build, outputs_[i], vertex, stop);
      if (outputs_[i].ignore_error && !done[i].ok()) done[i] = BuildResponse();
    };
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < outputs_.size(); ++i) threads.emplace_back([&run, i] { run(i); });
    if (!outputs_.empty()) run(0);
  }
  BuildResponse response;
  for (auto& part : done) {
    if (!part.ok()) return part.status();
    for (auto& [key, value] : *part) {
      if (key.starts_with("cache.")) response[key] = std::move(value);
    }
  }
  return response;
}

StatusOr<BuildResponse> CacheExports::RunOne(const BuildContext& build, const Output& output,
                                             std::string_view vertex, std::stop_token stop) const {
  BuildResponse response;
  auto work = [&](solver::VertexProgress& progress) -> Status {
    cache::CacheChains chains;
    {
      solver::StatusLine line(progress, "preparing build cache for export");
      solver::CacheExportOptions options{.mode = output.mode,
                                         .compression = output.exporter->compression(),
                                         .sessions = {build.request.session},
                                         .stop = stop};
      for (const auto& [platform, plan] : plans_) {
        RETURN_IF_ERROR(solver::ExportCache(plan, *build.services->ops, options, chains));
      }
    }
    solver::StatusLine line(progress, "sending cache export");
    ASSIGN_OR_RETURN(response, output.exporter->Write(chains, build.LayersSeen(), progress, stop));
    return OkStatus();
  };
  RETURN_IF_ERROR(RunInVertex(*build.progress, output.exporter->name(), vertex, work));
  return response;
}

worker::InlineCacheFn CacheExports::Inline(const BuildContext& build,
                                           const worker::ExportSource& source,
                                           const cache::CompressionOptions& compression,
                                           std::stop_token stop) const {
  if (!inline_) return {};
  return [this, &build, &source, compression,
          stop](const std::string& platform) -> StatusOr<std::string> {
    const cache::Ref* ref = RefFor(source, platform);
    auto plan = plans_.find(source.refs.empty() ? "" : platform);
    if (ref == nullptr || ref->empty() || plan == plans_.end()) return std::string();
    return InlineFor(build, plan->second, *ref,
                     {.mode = Mode::kMin,
                      .compression = compression,
                      .sessions = {build.request.session},
                      .stop = stop});
  };
}

}  // namespace kiln::control
