// Attestations: what a build was asked to attest of its result, and how.
//
// Provenance is written by the daemon itself; SBOMs come from a scanner that runs as a
// step (frontend/sbom). How both leave is the exporters' business.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "control/bridge.h"
#include "control/build_context.h"
#include "control/provenance/predicate.h"
#include "frontend/bridge.h"
#include "worker/exporter/exporter.h"

namespace kiln::control {

// What results of a build are made of, by platform id ("" for a single result).
using ResultCaptures = std::map<std::string, Capture>;
// `result` is evaluated and its build is still known to the scheduler.
StatusOr<ResultCaptures> CaptureResult(const frontend::Result& result);

// The predicate of one result, made when it is asked for: the layers are those which
// exist then. The function may be kept until the build leaves the scheduler.
StatusOr<std::function<StatusOr<std::string>()>> PredicateMaker(
    const BuildContextPtr& build, const PredicateOptions& options, const Capture& capture,
    const frontend::ReferencePtr& reference);

// A plain value.
class Attestations {
 public:
  // From the options "attest:…" and build arguments "BUILDKIT_ATTEST_…".
  // `unknown attestation type "x"` and other errors in the reference's words.
  static StatusOr<Attestations> Parse(const frontend::StringMap& opts);

  // Scans the result, if that is wanted and no frontend did it.
  Status AddSboms(BuildBridge& bridge, frontend::Result* result, std::stop_token stop) const;
  Status AddProvenance(const BuildContextPtr& build, const frontend::Result& result,
                       const ResultCaptures& captures, worker::ExportSource* source) const;

  bool provenance() const { return provenance_.has_value(); }
  // "builder-id" of the provenance, which history uses as well.
  std::string builder_id() const;

 private:
  std::optional<frontend::StringMap> sbom_, provenance_;
  std::string sbom_generator_;  // normalised
  bool no_cache_ = false;
  std::string resolve_mode_;
};

}  // namespace kiln::control
