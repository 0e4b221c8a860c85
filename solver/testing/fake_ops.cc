#include "solver/testing/fake_ops.h"

#include <utility>

#include "base/strings.h"
#include "cache/ref_core.h"
#include "cache/testing/fake_content_store.h"
#include "llb/proto/ops.pb.h"

namespace kiln::solver::testing {

cache::Ref FakeRef(const std::string& id) {
  if (id.empty()) return cache::Ref();
  // A store that was never opened hands out leases all the same; the record has one
  // too many, so that the last of ours does not make the store write.
  static cache::FakeContentStore content;
  static const auto core = [] {
    cache::RefStoreOptions options;
    options.content = &content;
    return std::make_shared<cache::RefCore>(options);
  }();
  auto record = std::make_shared<cache::Record>();
  record->row.id = id;
  record->leases = 1;
  return cache::Ref(core->Lease(record, {}));
}

class FakeOp : public Op {
 public:
  FakeOp(FakeOps& world, Recipe recipe) : world_(world), recipe_(std::move(recipe)) {}

  bool HasQuickMap() const override { return recipe_.quick_map; }
  StatusOr<CacheMapAnswer> GetCacheMap(int index, JobContext& context) override {
    {
      std::lock_guard lock(world_.mutex_);
      ++world_.maps_[recipe_.name];
    }
    if (recipe_.on_map) RETURN_IF_ERROR(recipe_.on_map(context));
    RETURN_IF_ERROR(recipe_.map_error);
    CacheMapAnswer answer;
    std::string key = recipe_.key.empty() ? recipe_.name : recipe_.key;
    bool last = static_cast<size_t>(index) == recipe_.extra_maps;
    answer.map.digest = Digest::Of(last ? key : StrCat(key, "#", index));
    answer.complete = last;
    for (size_t i = 0; i < recipe_.inputs.size(); ++i) {
      CacheMap::Dep& dep = answer.map.deps.emplace_back();
      if (!recipe_.content_inputs.contains(i)) continue;
      dep.content_digest = [this](const cache::Ref& input, JobContext&) { return Content(input); };
    }
    return answer;
  }

  StatusOr<std::vector<cache::Ref>> Exec(const std::vector<cache::Ref>& inputs,
                                         JobContext& context) override {
    {
      std::lock_guard lock(world_.mutex_);
      ++world_.runs_[recipe_.name];
      ++world_.runs_by_key_[recipe_.key.empty() ? recipe_.name : recipe_.key];
    }
    if (recipe_.on_exec) RETURN_IF_ERROR(recipe_.on_exec(context));
    RETURN_IF_ERROR(recipe_.exec_error);
    std::string id = recipe_.result;
    if (id.empty()) {
      id = recipe_.key.empty() ? recipe_.name : recipe_.key;
      std::lock_guard lock(world_.mutex_);
      for (size_t i = 0; i < inputs.size(); ++i) {
        // What an op sees of an input that is keyed by content is that content.
        bool content = recipe_.content_inputs.contains(i);
        id += StrCat("(", content ? world_.ContentOf(inputs[i].id()) : inputs[i].id(), ")");
      }
    }
    std::vector<cache::Ref> outputs;
    for (size_t i = 0; i < recipe_.outputs; ++i) {
      outputs.push_back(FakeRef(i == 0 ? id : StrCat(id, "#", i)));
    }
    if (context.stop().stop_requested()) return CancelledError("context canceled");
    std::lock_guard lock(world_.mutex_);
    world_.forgotten_.erase(id);
    ++world_.made_[id];
    return outputs;
  }

  Pool pool() const override { return Pool::kExec; }

 private:
  StatusOr<Digest> Content(const cache::Ref& input) {
    std::lock_guard lock(world_.mutex_);
    ++world_.contents_[recipe_.name];
    return Digest::Of(world_.ContentOf(input.id()));
  }

  FakeOps& world_;
  const Recipe recipe_;
};

std::shared_ptr<const llb::Vertex> FakeOps::Add(Recipe recipe) {
  auto vertex = std::make_shared<llb::Vertex>();
  std::string identity = StrCat(recipe.name, "/", recipe.key);
  for (const llb::Edge& input : recipe.inputs) {
    identity += StrCat(" ", input.vertex->digest.text(), "@", input.index);
  }
  vertex->digest = Digest::Of(identity);
  vertex->op = std::make_shared<pb::Op>();
  auto metadata = std::make_shared<pb::OpMetadata>();
  metadata->set_ignore_cache(recipe.ignore_cache);
  vertex->metadata = std::move(metadata);
  vertex->inputs = recipe.inputs;
  vertex->name = recipe.name;
  std::lock_guard lock(mutex_);
  recipes_[vertex->digest] = std::move(recipe);
  return vertex;
}

StatusOr<std::unique_ptr<Op>> FakeOps::Resolve(const std::shared_ptr<const llb::Vertex>& vertex) {
  std::lock_guard lock(mutex_);
  return std::unique_ptr<Op>(new FakeOp(*this, recipes_.at(vertex->digest)));
}

StatusOr<cache::Ref> FakeOps::LoadResult(std::string_view record_id) {
  std::lock_guard lock(mutex_);
  std::string id(record_id);
  if (forgotten_.contains(id)) return NotFoundError("gone");
  ++loads_;
  return FakeRef(id);
}

std::string FakeOps::ContentOf(const std::string& result) const {
  if (content_) return content_(result);
  auto it = content_of_.find(result);
  return it == content_of_.end() ? result : it->second;
}
void FakeOps::SetContentFunction(std::function<std::string(const std::string&)> content) {
  std::lock_guard lock(mutex_);
  content_ = std::move(content);
}
std::map<std::string, int> FakeOps::made() {
  std::lock_guard lock(mutex_);
  return made_;
}

int FakeOps::runs(const std::string& name) {
  std::lock_guard lock(mutex_);
  return runs_[name];
}
int FakeOps::maps(const std::string& name) {
  std::lock_guard lock(mutex_);
  return maps_[name];
}
int FakeOps::contents(const std::string& name) {
  std::lock_guard lock(mutex_);
  return contents_[name];
}
int FakeOps::loads() {
  std::lock_guard lock(mutex_);
  return loads_;
}
int FakeOps::total_runs() {
  std::lock_guard lock(mutex_);
  int total = 0;
  for (const auto& [name, count] : runs_) total += count;
  return total;
}
std::map<std::string, int> FakeOps::runs_by_key() {
  std::lock_guard lock(mutex_);
  return runs_by_key_;
}
void FakeOps::Forget(const std::string& result) {
  std::lock_guard lock(mutex_);
  forgotten_.insert(result);
}
void FakeOps::SetContent(const std::string& result, const std::string& content) {
  std::lock_guard lock(mutex_);
  content_of_[result] = content;
}

void RecordingSink::Send(ProgressEvent event) {
  std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}
std::vector<ProgressEvent> RecordingSink::events() {
  std::lock_guard lock(mutex_);
  return events_;
}
std::map<std::string, VertexEvent> RecordingSink::vertices() {
  std::map<std::string, VertexEvent> last;
  for (const ProgressEvent& event : events()) {
    if (const auto* vertex = std::get_if<VertexEvent>(&event)) last[vertex->name] = *vertex;
  }
  return last;
}
std::string RecordingSink::log(const Digest& vertex) {
  std::string text;
  for (const ProgressEvent& event : events()) {
    const auto* log = std::get_if<LogEvent>(&event);
    if (log != nullptr && log->vertex == vertex) text += log->bytes;
  }
  return text;
}

void Gate::Open() {
  std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}
Status Gate::Wait(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  visited_ = true;
  changed_.notify_all();
  bool opened = changed_.wait(lock, std::move(stop), [&] { return open_; });
  return opened ? OkStatus() : CancelledError("context canceled");
}
void Gate::AwaitVisitor() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return visited_; });
}

}  // namespace kiln::solver::testing
