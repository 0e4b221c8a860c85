// Attestations of a result as in-toto statements.
//
// What a frontend or a scanner returned is read from its tree; bundles (folders of
// statements) become their statements. Where statements go is the exporters' business.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "worker/exporter/exporter.h"

namespace kiln::worker {

inline constexpr std::string_view kSpdxPredicate = "https://spdx.dev/Document";

struct StatementSubject {
  std::string name;
  std::map<std::string, std::string> digest;
};

// One predicate, unbundled.
struct AttestedPredicate {
  std::map<std::string, std::string> metadata;
  std::string path;
  std::string predicate_type;
  std::vector<ExportAttestation::Subject> subjects;
  std::string predicate;  // JSON; empty for null
};

// Whether it is only for results that are told inline, never for files or indexes.
bool InlineOnly(const ExportAttestation& attestation);

// Reads everything; SBOMs of the result itself come first. Blocking. Errors in the
// reference's words; `temp_dir` is for mounts.
StatusOr<std::vector<AttestedPredicate>> Unbundle(
    const std::vector<const ExportAttestation*>& attestations, const std::string& temp_dir,
    std::stop_token stop);

// The statement, compact. `self` stands for the result.
StatusOr<std::string> StatementJson(const AttestedPredicate& attested,
                                    const std::vector<StatementSubject>& self);

}  // namespace kiln::worker
