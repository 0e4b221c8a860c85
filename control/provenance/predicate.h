// Predicate: the provenance document of one result, SLSA v1 or v0.2.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "control/provenance/capture.h"
#include "oci/descriptor.h"

namespace pb {
class Definition;
}

namespace kiln::control {

struct PredicateOptions {
  bool slsa02 = false;
  bool max = true;               // with the definition, its sources and layers
  bool reproducible = false;
  bool complete_materials = false;  // refuse if they are not
  bool usage = false;               // what steps and the machine used meanwhile
  std::string builder_id = {};
  std::string dockerfile_version = {};   // of the built-in frontend
  std::string custom_env = {};           // JSON object of the daemon's own facts; may be empty
};
// From the attributes of "attest:provenance"; errors in the reference's words.
StatusOr<PredicateOptions> ParsePredicateOptions(const std::map<std::string, std::string>& attrs);
std::string PredicateType(bool slsa02);

// Facts that are known when the build ends.
struct RunFacts {
  std::string invocation_id;
  Time started;
  Time finished;
  int compatibility_version = 0;
  // "step3:0" → chains of layers.
  std::map<std::string, std::vector<std::vector<oci::Descriptor>>> layers;
  std::string machine_usage = {};  // JSON array of samples, "" without any
};

// Immutable; Json may be called from any thread.
class Predicate {
 public:
  // Checks everything that can fail early. `definition` may be null.
  static StatusOr<std::shared_ptr<const Predicate>> Make(
      const PredicateOptions& options, const Capture& capture,
      std::shared_ptr<const pb::Definition> definition);

  // Compact.
  StatusOr<std::string> Json(const RunFacts& run) const;
  // Step of an op of the definition, -1 if there is none.
  int StepOf(const std::string& digest) const;
  const PredicateOptions& options() const { return options_; }

 private:
  StatusOr<std::string> Internal() const;
  std::string Metadata(const RunFacts& run) const;
  std::string Slsa1(const RunFacts& run, const std::string& internal) const;
  StatusOr<std::string> Slsa02(const RunFacts& run) const;

  PredicateOptions options_;
  Capture capture_;
  Parameters request_;          // as shown
  ConfigSource config_;
  std::map<std::string, std::string> vcs_;
  std::string materials_;       // JSON array, empty without any
  std::string build_config_;    // JSON, with max
  std::string source_;          // JSON, with max
  std::map<std::string, int> steps_;
  bool request_complete_ = false, materials_complete_ = false;
};

}  // namespace kiln::control
