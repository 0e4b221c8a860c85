// Selectors: which parts of an input an op depends on, and their content digest.
#pragma once

#include <string>
#include <vector>

#include "solver/op.h"

namespace kiln::worker {

struct Selector {
  std::string path;
  bool wildcard = false;
  bool follow_links = false;
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  std::vector<std::string> required = {};

  bool filtered() const { return wildcard || !include.empty() || !exclude.empty(); }
};

// Sorted, without those that lie under another one. A single path stays as it is.
std::vector<std::string> DedupePaths(std::vector<std::string> paths);
std::vector<Selector> DedupeSelectors(const std::vector<Selector>& selectors);
bool HasWildcards(std::string_view path);

// Digest over the digests of all `selectors`; none stands for the whole tree.
solver::ContentDigestFn ContentDigestOf(std::vector<Selector> selectors, std::string worker_id);
// Fetches and unpacks an input before its content is looked at.
Status ExtractInput(const cache::Ref& input, solver::JobContext& context);
// `parts` with zero bytes between them.
std::string JoinZero(const std::vector<std::string>& parts);

}  // namespace kiln::worker
