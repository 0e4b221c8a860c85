// Refs instead of references; metadata stays as it is.
#include "control/export_source.h"

#include "control/reference.h"

namespace kiln::control {
namespace {

StatusOr<worker::ExportAttestation> Convert(const frontend::Attestation& in) {
  worker::ExportAttestation out;
  out.kind = in.kind;
  out.metadata = in.metadata;
  ASSIGN_OR_RETURN(out.ref, RefOf(in.ref));
  out.path = in.path;
  out.in_toto_predicate_type = in.in_toto_predicate_type;
  for (const auto& subject : in.subjects) {
    out.subjects.push_back({subject.kind, subject.name, subject.digests});
  }
  return out;
}

}  // namespace

StatusOr<worker::ExportSource> MakeExportSource(const frontend::Result& result) {
  worker::ExportSource source;
  source.metadata = result.metadata;
  if (result.refs.empty()) {
    ASSIGN_OR_RETURN(cache::Ref ref, RefOf(result.ref));
    source.ref = std::move(ref);
  }
  for (const auto& [platform, reference] : result.refs) {
    ASSIGN_OR_RETURN(cache::Ref ref, RefOf(reference));
    source.refs.emplace(platform, std::move(ref));
  }
  for (const auto& [platform, attestations] : result.attestations) {
    for (const auto& attestation : attestations) {
      ASSIGN_OR_RETURN(auto converted, Convert(attestation));
      source.attestations[platform].push_back(std::move(converted));
    }
  }
  return source;
}

}  // namespace kiln::control
