// Jobs of vertices other than runs: cache maps, content keys, loads, flushes.
#include <algorithm>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "solver/build_graph.h"
#include "solver/job_context.h"

namespace kiln::solver {
namespace {

// Refs are move-only and std::function copies: what travels is shared.
template <typename T>
std::shared_ptr<T> Shared(T value) {
  return std::make_shared<T>(std::move(value));
}

// A vertex that no worker can run never starts, so it is not shown either.
Status MakeOp(OpResolver& ops, VertexNode& node) {
  if (node.op != nullptr) return OkStatus();
  ASSIGN_OR_RETURN(node.op, ops.Resolve(node.vertex));
  return OkStatus();
}

StatusOr<CacheMapAnswer> GetMap(VertexNode& node, int index, VertexJob& job) {
  if (job.stop().stop_requested()) return CancelledError("context canceled");
  return node.op->GetCacheMap(index, job);
}

StatusOr<Digest> ComputeDigest(const CacheMap::Dep& dep, const cache::Ref& ref, VertexJob& own,
                               VertexJob& of_input) {
  if (own.stop().stop_requested()) return CancelledError("context canceled");
  if (dep.preprocess != nullptr) RETURN_IF_ERROR(dep.preprocess(ref, of_input));
  return dep.content_digest == nullptr ? Digest() : dep.content_digest(ref, own);
}

}  // namespace

void BuildGraph::Submit(JobPool& pool, std::function<void()> job) {
  ++jobs_;
  // The mailbox must outlive the job's last post.
  pool.Submit([job = std::move(job), mailbox = parts_.mailbox] { job(); });
}

void BuildGraph::JobDone() {
  if (--jobs_ == 0 && closing_) parts_.idle();
}

void BuildGraph::AskMap(EdgeNode& edge) {
  VertexNode& node = edge.vertex;
  if (!node.map_error.ok()) return Fail(edge, node.map_error);
  if (edge.maps_seen < node.maps.size()) {
    if (node.opening == 0) DeliverMap(edge);  // else OnSourceOpened comes back to it
  } else if (!node.map_running) {
    StartMap(node.shared_from_this());
  }
}

void BuildGraph::StartMap(const std::shared_ptr<VertexNode>& node) {
  auto index = static_cast<int>(node->maps.size());
  auto job = std::make_shared<VertexJob>(*this, node, node->audience, node->stop.get_token());
  if (!node->inputs.empty()) {
    Status made = MakeOp(parts_.ops, *node);
    if (!made.ok()) return OnMap(*node, made, false);
    if (node->op->HasQuickMap()) return OnMap(*node, node->op->GetCacheMap(index, *job), false);
  }
  node->map_running = true;
  Submit(parts_.pools.network, [this, node, index, job] {
    // Sources do their look-up here, which may take long: it is shown.
    Status made = MakeOp(parts_.ops, *node);
    bool shown = made.ok() && node->inputs.empty() && !job->stop().stop_requested();
    if (shown) node->audience->Started(false);
    StatusOr<CacheMapAnswer> answer =
        made.ok() ? GetMap(*node, index, *job) : StatusOr<CacheMapAnswer>(made);
    if (shown) node->audience->Completed(answer.status(), false);
    bool stopped = job->stop().stop_requested();
    Enter([this, node, answer = Shared(std::move(answer)), stopped] {
      JobDone();
      node->map_running = false;
      if (!node->dead) OnMap(*node, std::move(*answer), stopped);
    });
  });
}

void BuildGraph::OnMap(VertexNode& node, StatusOr<CacheMapAnswer> answer, bool stopped) {
  if (answer.ok() && answer->map.deps.size() != node.inputs.size()) {
    answer = InternalError(StrCat("cache map of ", node.vertex->name, " has ",
                                  answer->map.deps.size(), " inputs, not ", node.inputs.size()));
  }
  if (answer.ok()) {
    node.maps.push_back(std::move(answer->map));
    node.maps_complete = answer->complete;
  } else if (!stopped) {
    node.map_error =
        WithVertex(Annotate(answer.status(), "failed to load cache key"), node.original);
  }
  for (auto& [output, edge] : node.edges) {
    if (!edge->state.map_asked) continue;
    if (!answer.ok() && stopped) {
      Feed(*edge, event::MapStopped{});
    } else {
      AskMap(*edge);
    }
  }
}

void BuildGraph::DeliverMap(EdgeNode& edge) {
  VertexNode& node = edge.vertex;
  const CacheMap& map = node.maps[edge.maps_seen++];
  event::MapArrived arrived;
  arrived.complete = node.maps_complete && edge.maps_seen == node.maps.size();
  if (edge.inputs.empty()) {
    edge.map_digests.push_back(map.digest);
    arrived.root_matches = RootMatches(edge, map.digest);
  }
  for (size_t i = 0; i < map.deps.size(); ++i) {
    arrived.deps.push_back({map.deps[i].content_digest != nullptr,
                            map.deps[i].preprocess != nullptr});
    SyncInput(edge, i);  // keys that came before the map
  }
  Feed(edge, std::move(arrived));
}

void BuildGraph::ComputeContent(EdgeNode& edge, size_t dep) {
  VertexNode& node = edge.vertex;
  VertexNode::Content& content = node.contents[dep];
  if (!content.error.ok()) return Fail(edge, content.error);
  if (content.done) return DeliverContent(edge, dep);
  if (!content.running) StartContent(node.shared_from_this(), edge, dep);
}

void BuildGraph::StartContent(const std::shared_ptr<VertexNode>& node, EdgeNode& edge,
                              size_t dep) {
  node->contents[dep].running = true;
  EdgeNode& input = *edge.inputs[dep].edge;
  auto ref = Shared(input.result->Clone());
  auto own = std::make_shared<VertexJob>(*this, node, node->audience, node->stop.get_token());
  auto of_input =
      std::make_shared<VertexJob>(*this, input.vertex.shared_from_this(), input.vertex.audience,
                                  node->stop.get_token());
  Submit(parts_.pools.disk, [this, node, dep, ref, own, of_input, recipe = node->maps.back().deps[dep]] {
    StatusOr<Digest> digest = ComputeDigest(recipe, *ref, *own, *of_input);
    *ref = cache::Ref();
    bool stopped = own->stop().stop_requested();
    if (!digest.ok() && !stopped) {
      node->audience->Started(false);
      node->audience->Completed(digest.status(), false);
    }
    Enter([this, node, dep, digest, stopped] {
      JobDone();
      node->contents[dep].running = false;
      if (!node->dead) OnContent(*node, dep, digest, stopped);
    });
  });
}

void BuildGraph::OnContent(VertexNode& node, size_t dep, StatusOr<Digest> digest, bool stopped) {
  VertexNode::Content& content = node.contents[dep];
  if (digest.ok()) {
    content.done = true;
    if (!digest->empty()) content.key = CacheKey::Content(*digest);
  } else if (!stopped) {
    content.error =
        WithVertex(Annotate(digest.status(), "failed to compute cache key"), node.original);
  }
  for (auto& [output, edge] : node.edges) {
    if (!edge->state.deps[dep].content_running) continue;
    if (!digest.ok() && stopped) {
      Feed(*edge, event::ContentStopped{dep});
    } else {
      ComputeContent(*edge, dep);
    }
  }
}

void BuildGraph::DeliverContent(EdgeNode& edge, size_t dep) {
  EdgeNode::Input& input = edge.inputs[dep];
  input.content = edge.vertex.contents[dep].key;
  event::ContentArrived arrived{dep, {}};
  if (input.content != nullptr) {
    KeyWithSelector slow{input.content, Digest()};
    arrived.matches = Probe(edge, dep, {&slow, 1});
    // What the content led to is found through the definition next time.
    std::vector<KeyWithSelector> all = InputKeys(edge, dep);
    for (const auto& table : edge.vertex.tables) {
      table->Query(all, static_cast<int64_t>(dep), edge.vertex.maps.back().digest, edge.output);
    }
  }
  Feed(edge, std::move(arrived));
}

// Local results first: they cost nothing. Then the newest.
void BuildGraph::StartLoad(EdgeNode& edge) {
  KILN_CHECK(!edge.candidates.empty());
  auto best = std::max_element(
      edge.candidates.begin(), edge.candidates.end(),
      [](const EdgeNode::Candidate& a, const EdgeNode::Candidate& b) {
        if (a.table->local() != b.table->local()) return b.table->local();
        return a.record.created < b.record.created;
      });
  EdgeNode::Candidate candidate = std::move(*best);
  edge.candidates.erase(best);
  edge.load_stop = std::stop_source();
  std::shared_ptr<VertexNode> node = edge.vertex.shared_from_this();
  auto job = std::make_shared<VertexJob>(*this, node, node->audience, edge.load_stop.get_token());
  Submit(parts_.pools.disk, [this, node, candidate, job, edge = &edge] {
    node->audience->Started(true);
    StatusOr<std::vector<CacheSource::Loaded>> loaded = std::vector<CacheSource::Loaded>();
    if (candidate.record.source != nullptr) {
      loaded = candidate.record.source->Load(candidate.record.id, *job);
      if (loaded.ok() && loaded->empty()) loaded = NotFoundError("failed to load deleted cache");
    } else if (candidate.record.id.empty()) {
      loaded->push_back({"", cache::Ref(), candidate.record.created});
    } else if (auto ref = parts_.ops.LoadResult(candidate.record.id); ref.ok()) {
      loaded->push_back({"", *std::move(ref), candidate.record.created});
    } else {
      loaded = ref.status();
    }
    if (loaded.ok()) node->audience->Completed(OkStatus(), true);
    bool stopped = job->stop().stop_requested();
    Enter([this, node, edge, candidate, loaded = Shared(std::move(loaded)), stopped] {
      JobDone();
      if (!node->dead) OnLoaded(*edge, candidate, std::move(*loaded), stopped);
    });
  });
}

void BuildGraph::OnLoaded(EdgeNode& edge, const EdgeNode::Candidate& candidate,
                          StatusOr<std::vector<CacheSource::Loaded>> loaded, bool stopped) {
  if (!loaded.ok()) {
    if (stopped) {
      edge.candidates.push_back(candidate);  // it may be wanted again
      return Feed(edge, event::WorkStopped{});
    }
    log::Warning("cached result is not usable", {{"vertex", edge.vertex.vertex->name},
                                                 {"error", loaded.status().message()}});
    if (candidate.table->local() && IsNotFound(loaded.status())) {
      parts_.index.Release(candidate.record.id, "its files were lost").IgnoreError();
    }
    return Feed(edge, event::LoadMissed{edge.candidates.size()});
  }
  std::vector<CacheKeyPtr> keys = LoadedKeys(edge, candidate);
  auto ref = Shared(std::move(loaded->front().ref));
  std::shared_ptr<VertexNode> node = edge.vertex.shared_from_this();
  auto complete = [this, node, edge = &edge, keys, ref] {
    if (!node->dead) Complete(*edge, std::move(*ref), keys, false);
  };
  if (candidate.table->local()) return complete();
  loaded->front().ref = ref->Clone();
  if (Status saved = SaveLoaded(candidate, *loaded); !saved.ok()) {
    log::Warning("imported result is not kept", {{"error", saved.message()}});
  }
  AfterFlush(complete);
}

// The key through which a result was loaded. A root has one more for each of its
// maps that leads to the same result: which of them was found first is chance, and
// must not make different keys of what stands on it.
std::vector<CacheKeyPtr> BuildGraph::LoadedKeys(const EdgeNode& edge,
                                                const EdgeNode::Candidate& candidate) const {
  auto key = std::make_shared<CacheKey>(candidate.key->digest(), edge.output, edge.vertex.digest);
  key->set_deps(candidate.key->deps());
  key->set_of_result(candidate.record);
  if (const std::string* id = candidate.key->IdIn(candidate.table)) {
    key->SetIdIn(candidate.table, *id);
  }
  std::vector<CacheKeyPtr> keys = {key};
  for (const Digest& digest : edge.map_digests) {
    if (digest == key->digest()) continue;
    std::vector<CacheRecord> records =
        candidate.table->Records(candidate.table->FindRoot(digest, edge.output));
    bool same = std::any_of(records.begin(), records.end(), [&](const CacheRecord& record) {
      return record.id == candidate.record.id;
    });
    if (!same) continue;
    auto other = std::make_shared<CacheKey>(digest, edge.output, edge.vertex.digest);
    other->set_of_result(candidate.record);
    keys.push_back(std::move(other));
  }
  return keys;
}

// Keeps what an import gave under the keys it has there, so that the next build
// finds it without the import.
Status BuildGraph::SaveLoaded(const EdgeNode::Candidate& candidate,
                              const std::vector<CacheSource::Loaded>& loaded) {
  std::unordered_map<std::string, const CacheSource::Loaded*> by_key;
  for (size_t i = 1; i < loaded.size(); ++i) by_key.emplace(loaded[i].key, &loaded[i]);
  auto note = [&](const CacheKey& key) {
    auto found = vertices_.find(key.vertex());
    if (found != vertices_.end()) NoteKey(*found->second, key);
  };
  note(*candidate.key);
  RETURN_IF_ERROR(local_->Save(*candidate.key, {loaded.front().ref.id(), loaded.front().created}));
  if (by_key.empty()) return OkStatus();
  std::vector<const CacheKey*> open = {candidate.key.get()};
  std::unordered_set<const CacheKey*> seen;
  while (!open.empty()) {
    const CacheKey* key = open.back();
    open.pop_back();
    if (!seen.insert(key).second) continue;
    auto it = by_key.find(candidate.table->Find(*key));
    if (it != by_key.end()) {
      note(*key);
      RETURN_IF_ERROR(local_->Save(*key, {it->second->ref.id(), it->second->created}));
    }
    for (const auto& dep : key->deps()) {
      for (const KeyWithSelector& alternative : dep) open.push_back(alternative.key.get());
    }
  }
  return OkStatus();
}

// Runs `then` once everything saved so far is on disk: nothing is reported done
// that a crash could take back.
void BuildGraph::AfterFlush(std::function<void()> then) {
  after_flush_.push_back(std::move(then));
  if (!flushing_) StartFlush();
}

void BuildGraph::StartFlush() {
  flushing_ = true;
  auto batch = Shared(std::exchange(after_flush_, {}));
  Submit(*parts_.flush, [this, batch] {
    Status status = parts_.index.Flush();
    Enter([this, batch, status] {
      JobDone();
      flushing_ = false;
      if (!status.ok()) log::Error("cache keys are not written", {{"error", status.message()}});
      for (const auto& then : *batch) then();
      if (!after_flush_.empty() && !flushing_) StartFlush();
    });
  });
}

// Letting a tree go may delete it, which is disk work.
void BuildGraph::Dispose(std::vector<cache::Ref> refs) {
  std::erase_if(refs, [](const cache::Ref& ref) { return ref.empty(); });
  if (refs.empty()) return;
  Submit(parts_.pools.disk, [this, refs = Shared(std::move(refs))] {
    refs->clear();
    Enter([this] { JobDone(); });
  });
}

}  // namespace kiln::solver
