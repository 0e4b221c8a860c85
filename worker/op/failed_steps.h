// FailedSteps: the trees of steps that failed, for clients that want to look inside.
//
// A failure carries the id of its entry as a detail that stays in this process. The
// entry lives as long as one of the builds that wanted the step.
#pragma once

#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/ref.h"
#include "solver/op.h"

namespace kiln::worker {

// Details with this prefix never leave the process.
inline constexpr std::string_view kLocalDetailPrefix = "kiln/";
inline constexpr std::string_view kFailedStepUrl = "kiln/failed-step";
// The index of the action of a FileOp that failed, in decimal.
inline constexpr std::string_view kFileActionUrl = "kiln/file-action";
// The index of the input whose content could not be hashed, in decimal.
inline constexpr std::string_view kContentCacheUrl = "kiln/content-cache";

// One entry per mount of an ExecOp; of a FileOp one per input, and one per action in
// `mounts`. Empty where there is none.
struct FailedStep {
  std::vector<cache::Ref> inputs;
  std::vector<cache::Ref> mounts;
};

// Thread-safe. Keeps a bounded number of steps, the newest.
class FailedSteps {
 public:
  // The id for the detail.
  std::string Keep(FailedStep step, const std::vector<std::string>& builds);
  // Empty if it is not there any more.
  FailedStep Find(std::string_view id);
  void EndBuild(const std::string& build);

 private:
  struct Entry {
    std::string id;
    FailedStep step;
    std::set<std::string> builds;
  };
  std::mutex mutex_;
  std::deque<Entry> entries_;
};

// Lets failures of the content digests of `map` carry the input that they are about.
void KeepContentFailures(FailedSteps* steps, solver::CacheMap* map);

}  // namespace kiln::worker
