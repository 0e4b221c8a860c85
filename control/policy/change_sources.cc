// A definition with other sources: everything above them gets new digests.
#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "base/strings.h"
#include "control/policy/source_policy.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

constexpr size_t kAtOnce = 16;

struct Entry {
  pb::Op op;
  std::string digest;      // as it came
  std::string new_digest;  // "" until known
  std::string before;      // a source as it came
};

// A client may answer for one source only after it has seen another: with `at_once`
// none waits for its turn.
Status ChangeAll(const std::vector<Entry*>& sources, const ChangeSource& change, bool at_once) {
  if (!at_once || sources.size() < 2) {
    for (Entry* entry : sources) RETURN_IF_ERROR(change(&entry->op));
    return OkStatus();
  }
  std::vector<Status> results(sources.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < sources.size(); i = next++) results[i] = change(&sources[i]->op);
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < std::min(sources.size(), kAtOnce); ++i) threads.emplace_back(work);
  }
  for (const Status& result : results) RETURN_IF_ERROR(result);
  return OkStatus();
}

class Rewriter {
 public:
  explicit Rewriter(const pb::Definition& definition) : from_(definition) {}

  // False if nothing was changed.
  StatusOr<bool> Change(const ChangeSource& change, bool at_once) {
    std::vector<Entry*> sources;
    entries_.resize(static_cast<size_t>(from_.def_size()));
    for (size_t i = 0; i < entries_.size(); ++i) {
      Entry& entry = entries_[i];
      const std::string& bytes = from_.def(static_cast<int>(i));
      if (!entry.op.ParseFromString(bytes)) return UnknownError("failed to parse llb proto op");
      entry.digest = Digest::Of(bytes).text();
      if (entry.op.has_source()) {
        entry.before = llb::MarshalDeterministic(entry.op);
        sources.push_back(&entry);
      }
      places_[entry.digest] = i;
    }
    RETURN_IF_ERROR(ChangeAll(sources, change, at_once));
    bool changed = false;
    for (Entry& entry : entries_) {
      bool same = !entry.op.has_source() || llb::MarshalDeterministic(entry.op) == entry.before;
      if (same && entry.op.inputs().empty()) entry.new_digest = entry.digest;
      changed = changed || !same;
    }
    return changed;
  }

  StatusOr<std::shared_ptr<const pb::Definition>> Write() {
    auto out = std::make_shared<pb::Definition>(from_);
    out->clear_def();
    out->clear_metadata();
    for (size_t i = 0; i < entries_.size(); ++i) {
      RETURN_IF_ERROR(Renew(i));
      const Entry& entry = entries_[i];
      out->add_def(entry.new_digest == entry.digest ? from_.def(static_cast<int>(i))
                                                    : llb::MarshalDeterministic(entry.op));
      auto metadata = from_.metadata().find(entry.digest);
      if (metadata != from_.metadata().end()) {
        (*out->mutable_metadata())[entry.new_digest] = metadata->second;
      }
    }
    if (out->has_source()) {
      auto& locations = *out->mutable_source()->mutable_locations();
      std::map<std::string, pb::Locations> moved;
      for (auto& [digest, places] : locations) {
        auto place = places_.find(digest);
        moved[place == places_.end() ? digest : entries_[place->second].new_digest] = places;
      }
      locations.clear();
      locations.insert(moved.begin(), moved.end());
    }
    return std::shared_ptr<const pb::Definition>(std::move(out));
  }

 private:
  // Inputs first, without recursion.
  Status Renew(size_t wanted) {
    std::vector<size_t> open = {wanted};
    while (!open.empty()) {
      Entry& entry = entries_[open.back()];
      if (!entry.new_digest.empty()) {
        open.pop_back();
        continue;
      }
      if (open.size() > entries_.size()) return UnknownError("invalid cycle in definition");
      bool ready = true, moved = entry.op.inputs().empty();
      for (const pb::Input& input : entry.op.inputs()) {
        auto place = places_.find(input.digest());
        if (place == places_.end()) {
          return UnknownError(StrCat("invalid missing input digest ", input.digest()));
        }
        const Entry& below = entries_[place->second];
        moved = moved || below.new_digest != below.digest;
        if (!below.new_digest.empty()) continue;
        open.push_back(place->second);
        ready = false;
        break;
      }
      if (!ready) continue;
      for (pb::Input& input : *entry.op.mutable_inputs()) {
        input.set_digest(entries_[places_.at(input.digest())].new_digest);
      }
      entry.new_digest =
          moved ? Digest::Of(llb::MarshalDeterministic(entry.op)).text() : entry.digest;
      open.pop_back();
    }
    return OkStatus();
  }

  const pb::Definition& from_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t> places_;
};

}  // namespace

StatusOr<std::shared_ptr<const pb::Definition>> ChangeSources(
    const std::shared_ptr<const pb::Definition>& definition, const ChangeSource& change,
    bool at_once) {
  Rewriter rewriter(*definition);
  ASSIGN_OR_RETURN(bool changed, rewriter.Change(change, at_once));
  if (!changed) return definition;
  return rewriter.Write();
}

}  // namespace kiln::control
