#include "solver/cache_export.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/strings.h"
#include "solver/key_table.h"

namespace kiln::solver {
namespace {

using Chains = cache::CacheChains;
using Records = std::vector<Chains::Record*>;
using Mode = CacheExportOptions::Mode;

class NoProgress : public ProgressSink {
 public:
  void Send(ProgressEvent) override {}
};

// What an import may ask while a result of it is exported without being loaded.
class ExportJob : public JobContext {
 public:
  explicit ExportJob(const CacheExportOptions& options) : options_(options) {}
  std::vector<std::string> Sessions() const override { return options_.sessions; }
  std::vector<std::string> Builds() const override { return {}; }
  VertexProgress& progress() override { return progress_; }
  std::stop_token stop() const override { return options_.stop; }
  int compatibility_version() const override { return 0; }
  StatusOr<cache::Ref> SubBuild(const llb::Edge&) override {
    return UnimplementedError("no builds inside a cache export");
  }
  StatusOr<std::string> Memo(std::string_view,
                             const std::function<StatusOr<std::string>()>& compute) override {
    return compute();
  }

 private:
  const CacheExportOptions& options_;
  NoProgress sink_;
  VertexProgress progress_{Digest(), sink_};
};

class Export {
 public:
  Export(const ExportPlan& plan, OpResolver& ops, const CacheExportOptions& options,
         Chains& chains)
      : plan_(plan), ops_(ops), options_(options), chains_(chains), job_(options) {}

  Status Run();

 private:
  struct Visit {
    size_t node;
    Mode mode;
    std::vector<Chains::Result> results;
    bool entered = false;
  };
  Status Enter(Visit& visit);
  Status Leave(Visit& visit);
  StatusOr<std::optional<Chains::Result>> ResultOf(const ExportPlan::Node& node, Mode mode);
  StatusOr<cache::Ref> Load(const CacheRecord& record);
  Status AddEqualRoots(const ExportPlan::Node& node);
  StatusOr<Records> AddBacklinks(const KeyTable& table, const std::string& id);

  const ExportPlan& plan_;
  OpResolver& ops_;
  const CacheExportOptions& options_;
  Chains& chains_;
  ExportJob job_;
  std::vector<Visit> open_;
  std::unordered_map<size_t, Records> done_;
  std::unordered_map<size_t, Status> failed_;
  std::map<std::pair<const KeyTable*, std::string>, Records> backlinks_;
};

StatusOr<cache::Ref> Export::Load(const CacheRecord& record) {
  if (record.source == nullptr) {
    if (record.id.empty()) return cache::Ref();
    return ops_.LoadResult(record.id);
  }
  ASSIGN_OR_RETURN(auto loaded, record.source->Load(record.id, job_));
  if (loaded.empty()) return NotFoundError("failed to load deleted cache");
  return std::move(loaded.front().ref);
}

// The layers of the best result that still exists. None for scratch, and for a
// result without layers if the mode does not make any.
StatusOr<std::optional<Chains::Result>> Export::ResultOf(const ExportPlan::Node& node, Mode mode) {
  for (const CacheRecord& record : node.records) {
    StatusOr<cache::Ref> ref = Load(record);
    if (!ref.ok()) {
      if (IsNotFound(ref.status())) continue;
      return ref.status();
    }
    if (ref->empty()) return std::optional<Chains::Result>();
    bool create = mode != Mode::kRemoteOnly;
    StatusOr<cache::Remote> remote = ref->GetRemote(create, options_.compression, options_.stop);
    if (!remote.ok()) {
      if (!create) return std::optional<Chains::Result>();
      return remote.status();
    }
    return std::optional<Chains::Result>(Chains::Result{record.created, *std::move(remote)});
  }
  return std::optional<Chains::Result>();
}

// Before the inputs: a result found here decides what is made of them.
Status Export::Enter(Visit& visit) {
  const ExportPlan::Node& node = plan_.nodes[visit.node];
  visit.entered = true;
  if (!node.deps.empty() && node.export_cache.value_or(true)) {
    ASSIGN_OR_RETURN(std::optional<Chains::Result> result, ResultOf(node, visit.mode));
    if (result.has_value()) {
      visit.results.push_back(*std::move(result));
      if (visit.mode == Mode::kMin) visit.mode = Mode::kRemoteOnly;
    }
  }
  Mode mode = visit.mode;  // `visit` moves when the stack grows
  for (auto dep = node.deps.rbegin(); dep != node.deps.rend(); ++dep) {
    for (auto it = dep->rbegin(); it != dep->rend(); ++it) {
      if (!done_.contains(it->node)) open_.push_back({it->node, mode, {}, false});
    }
  }
  for (size_t also : node.also) {
    if (!done_.contains(also)) open_.push_back({also, mode, {}, false});
  }
  return OkStatus();
}

Status Export::Leave(Visit& visit) {
  const ExportPlan::Node& node = plan_.nodes[visit.node];
  Records& records = done_[visit.node];
  std::vector<std::vector<Chains::Link>> inputs;
  for (const auto& dep : node.deps) {
    std::vector<Chains::Link>& links = inputs.emplace_back();
    for (const ExportPlan::Dep& alternative : dep) {
      for (Chains::Record* source : done_[alternative.node]) {
        links.push_back({source, alternative.selector.text()});
      }
    }
  }
  for (const auto& [table, id] : node.stored) {
    RETURN_IF_ERROR(AddBacklinks(*table, id));
  }
  // Without an input that was exported nobody could find it.
  for (const auto& links : inputs) {
    if (links.empty()) return OkStatus();
  }
  if (node.deps.empty() && node.of_result) RETURN_IF_ERROR(AddEqualRoots(node));
  ASSIGN_OR_RETURN(Chains::Record* record, chains_.Add(node.record.text(), std::move(inputs),
                                                       std::move(visit.results)));
  if (record != nullptr) records.push_back(record);
  return OkStatus();
}

// Other root keys of the same result: an image that is known by tag and by digest.
Status Export::AddEqualRoots(const ExportPlan::Node& node) {
  for (const auto& [table, own] : node.stored) {
    if (!table->local() || node.records.front().id.empty()) continue;
    ASSIGN_OR_RETURN(std::vector<std::string> ids,
                     table->index().KeysOf(node.records.front().id));
    for (const std::string& id : ids) {
      if (id == own || !Digest::Parse(id).ok()) continue;
      bool is_root = true;
      RETURN_IF_ERROR(table->index().Backlinks(
          id, [&](std::string_view, const cache::KeyLink&) { is_root = false; }));
      if (is_root) RETURN_IF_ERROR(chains_.Add(id, {}, {}));
    }
  }
  return OkStatus();
}

// Ways to a stored key that this build did not take.
StatusOr<Records> Export::AddBacklinks(const KeyTable& table, const std::string& id) {
  auto [slot, fresh] = backlinks_.try_emplace({&table, id});
  if (!fresh) return slot->second;
  struct Way {
    std::string parent;
    cache::KeyLink link;
  };
  std::vector<Way> ways;
  RETURN_IF_ERROR(table.index().Backlinks(
      id, [&](std::string_view parent, const cache::KeyLink& link) {
        ways.push_back({std::string(parent), link});
      }));
  Records records;
  if (ways.empty() && Digest::Parse(id).ok()) {
    ASSIGN_OR_RETURN(Chains::Record* record, chains_.Add(id, {}, {}));
    if (record != nullptr) records.push_back(record);
  }
  std::map<Digest, std::vector<std::vector<Chains::Link>>> by_digest;
  for (const Way& way : ways) {
    ASSIGN_OR_RETURN(Records parents, AddBacklinks(table, way.parent));
    Digest digest = table.local() ? RootKey(way.link.digest, way.link.output) : way.link.digest;
    std::vector<std::vector<Chains::Link>>& inputs = by_digest[digest];
    auto input = static_cast<size_t>(way.link.input);
    if (inputs.size() <= input) inputs.resize(input + 1);
    for (Chains::Record* parent : parents) {
      inputs[input].push_back({parent, way.link.selector.text()});
    }
  }
  for (auto& [digest, inputs] : by_digest) {
    bool complete = std::none_of(inputs.begin(), inputs.end(),
                                 [](const auto& links) { return links.empty(); });
    if (!complete) continue;
    ASSIGN_OR_RETURN(Chains::Record* record, chains_.Add(digest.text(), std::move(inputs), {}));
    if (record != nullptr) records.push_back(record);
  }
  return backlinks_[{&table, id}] = std::move(records);
}

Status Export::Run() {
  for (size_t end : plan_.ends) {
    if (!done_.contains(end)) open_.push_back({end, options_.mode, {}, false});
    while (!open_.empty()) {
      if (options_.stop.stop_requested()) return CancelledError("context canceled");
      size_t node = open_.back().node;
      bool first = !open_.back().entered;
      if (first && done_.contains(node)) {
        open_.pop_back();
        continue;
      }
      Status status = first ? Enter(open_.back()) : OkStatus();
      if (first && status.ok()) continue;  // its inputs come first
      Visit visit = std::move(open_.back());
      open_.pop_back();
      if (status.ok()) status = Leave(visit);
      if (!status.ok()) {
        done_[node];
        failed_[node] = status;
      }
    }
    if (auto it = failed_.find(end); it != failed_.end()) return it->second;
  }
  return OkStatus();
}

}  // namespace

Status ExportCache(const ExportPlan& plan, OpResolver& ops, const CacheExportOptions& options,
                   cache::CacheChains& chains) {
  return Export(plan, ops, options, chains).Run();
}

}  // namespace kiln::solver
