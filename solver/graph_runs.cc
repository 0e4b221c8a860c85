// Runs of ops: one per vertex, and one per final key.
#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "base/trace.h"
#include "solver/build_graph.h"
#include "solver/job_context.h"

namespace kiln::solver {
namespace {

bool Meet(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& id) { return b.contains(id); });
}

bool SameInputs(const std::vector<std::set<std::string>>& a,
                const std::vector<std::set<std::string>>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), Meet);
}

}  // namespace

void BuildGraph::StartRun(EdgeNode& edge) {
  VertexNode& node = edge.vertex;
  if (!node.run_error.ok()) return Fail(edge, node.run_error);
  MakeFinalKeys(edge);
  if (node.outputs.has_value()) return TakeOutput(edge, node);
  if (node.opening > 0) {
    edge.run_deferred = true;  // a cache that has not answered may still have it
    return;
  }
  if (node.flight != nullptr) return JoinFlight(edge, node.flight);
  if (!node.ignore_cache && FindInstead(edge)) return;
  if (std::shared_ptr<Flight> equal = FindFlight(edge)) return JoinFlight(edge, equal);
  Launch(edge);
}

// The keys of the result to be: one per cache map of a root, else one of all inputs.
void BuildGraph::MakeFinalKeys(EdgeNode& edge) {
  edge.final_keys.clear();
  if (edge.inputs.empty()) {
    for (const Digest& digest : edge.map_digests) {
      edge.final_keys.push_back(
          std::make_shared<CacheKey>(digest, edge.output, edge.vertex.digest));
    }
    return;
  }
  auto key = std::make_shared<CacheKey>(edge.vertex.maps.back().digest, edge.output,
                                        edge.vertex.digest);
  key->set_deps(KeyDeps(edge));
  edge.final_keys.push_back(std::move(key));
}

// Somebody may have saved this very key while the inputs were on their way.
bool BuildGraph::FindInstead(EdgeNode& edge) {
  size_t count = 0;
  for (const std::shared_ptr<CacheKey>& key : edge.final_keys) {
    for (const auto& table : edge.vertex.tables) {
      std::string id = table->Find(*key);
      if (id.empty()) continue;
      count += AddCandidates(edge, key, *table, table->Records(id));
    }
  }
  if (count > 0) Feed(edge, event::FoundInstead{count});
  return count > 0;
}

std::vector<std::set<std::string>> BuildGraph::Anchors(const CacheKey& key) const {
  std::vector<std::set<std::string>> anchors;
  for (const auto& dep : key.deps()) {
    std::set<std::string>& ids = anchors.emplace_back();
    for (const KeyWithSelector& alternative : dep) {
      ids.insert(StrCat(local_->FindOrMake(*alternative.key), "|", alternative.selector.text()));
    }
  }
  return anchors;
}

std::shared_ptr<Flight> BuildGraph::FindFlight(const EdgeNode& edge) {
  for (const std::shared_ptr<CacheKey>& key : edge.final_keys) {
    auto it = flights_.find(key->digest());
    if (it == flights_.end()) continue;
    std::vector<std::set<std::string>> anchors = Anchors(*key);
    for (const std::shared_ptr<Flight>& flight : it->second) {
      if (edge.vertex.ignore_cache && !flight->vertex->ignore_cache) continue;
      if (SameInputs(flight->anchors, anchors)) return flight;
    }
  }
  return nullptr;
}

void BuildGraph::Launch(EdgeNode& edge) {
  auto flight = std::make_shared<Flight>();
  flight->vertex = edge.vertex.shared_from_this();
  flight->anchors = Anchors(*edge.final_keys.back());
  for (const std::shared_ptr<CacheKey>& key : edge.final_keys) {
    flight->digests.push_back(key->digest());
    flights_[key->digest()].push_back(flight);
  }
  flight->keys = edge.final_keys;
  flight->output = edge.output;
  edge.vertex.flight = flight;
  NoteMiss(edge);
  JoinFlight(edge, flight);
  std::vector<cache::Ref> inputs;
  for (const EdgeNode::Input& input : edge.inputs) inputs.push_back(input.edge->result->Clone());
  RunOp(flight, std::move(inputs));
}

void BuildGraph::RunOp(const std::shared_ptr<Flight>& flight, std::vector<cache::Ref> inputs) {
  const std::shared_ptr<VertexNode>& node = flight->vertex;
  auto job = std::make_shared<VertexJob>(*this, node, node->audience, flight->stop.get_token());
  auto run = [this, flight, job, op = node->op, report = MissReport(*node),
              refs = std::make_shared<std::vector<cache::Ref>>(std::move(inputs))] {
    StatusOr<std::vector<cache::Ref>> outputs = CancelledError("context canceled");
    if (!job->stop().stop_requested()) {
      flight->vertex->audience->Started(false);
      report();
      outputs = op->Exec(*refs, *job);
      if (!outputs.ok()) outputs = Traced(std::move(outputs).status());
    }
    refs->clear();
    bool stopped = job->stop().stop_requested();
    auto shared = std::make_shared<StatusOr<std::vector<cache::Ref>>>(std::move(outputs));
    Enter([this, flight, shared, stopped] {
      JobDone();
      OnRun(flight, std::move(*shared), stopped);
      for (Ending& ending : endings_) std::erase(ending.runs, flight);
      FinishEndings();
    });
  };
  switch (node->op->pool()) {
    case Op::Pool::kExec: return Submit(parts_.pools.exec, run);
    case Op::Pool::kNetwork: return Submit(parts_.pools.network, run);
    case Op::Pool::kDisk: return Submit(parts_.pools.disk, run);
    case Op::Pool::kOwnThread: break;
  }
  ++jobs_;
  std::thread([run, mailbox = parts_.mailbox] { run(); }).detach();
}

void BuildGraph::JoinFlight(EdgeNode& edge, const std::shared_ptr<Flight>& flight) {
  edge.flight = flight;
  flight->members.push_back(&edge);
  if (flight->vertex.get() == &edge.vertex) return;
  NoteMiss(edge);
  edge.vertex.shared_run = true;
  for (const BuildStatePtr& build : edge.vertex.audience->builds()) {
    flight->vertex->audience->AddListener(build);
  }
}

void BuildGraph::LeaveFlight(EdgeNode& edge) {
  if (edge.flight == nullptr) return;
  std::shared_ptr<Flight> flight = std::exchange(edge.flight, nullptr);
  std::erase(flight->members, &edge);
  Feed(edge, event::WorkStopped{});
  // It stays listed: who wants the same now waits for its end, which may yet be a result.
  if (flight->members.empty()) flight->stop.request_stop();
}

void BuildGraph::Unlist(const Flight& flight) {
  for (const Digest& digest : flight.digests) {
    auto it = flights_.find(digest);
    if (it == flights_.end()) continue;
    std::erase_if(it->second, [&](const auto& listed) { return listed.get() == &flight; });
    if (it->second.empty()) flights_.erase(it);
  }
}

void BuildGraph::OnRun(const std::shared_ptr<Flight>& flight,
                       StatusOr<std::vector<cache::Ref>> outputs, bool stopped) {
  VertexNode& ran = *flight->vertex;
  Unlist(*flight);
  ran.flight = nullptr;
  std::vector<EdgeNode*> members = std::exchange(flight->members, {});
  for (EdgeNode* member : members) member->flight = nullptr;
  if (outputs.ok()) {
    ran.outputs = std::move(*outputs);
    bool reported_later = false;
    for (EdgeNode* member : members) {
      TakeOutput(*member, ran);
      reported_later = reported_later || &member->vertex == &ran;
    }
    if (!reported_later) {
      ReportRun(ran);
      KeepUnwanted(*flight);
    }
    if (ran.dead) {
      Dispose(std::move(*ran.outputs));
      ran.outputs.reset();
    }
    return;
  }
  ran.audience->Completed(outputs.status(), false);
  if (stopped) {
    // Whoever joined after the stop starts over.
    for (EdgeNode* member : members) Feed(*member, event::WorkStopped{});
    return;
  }
  ran.run_error = WithVertex(outputs.status(), ran.original);
  for (EdgeNode* member : members) Fail(*member, ran.run_error);
}

// Nobody waits for the result any more, but it has been made.
void BuildGraph::KeepUnwanted(const Flight& flight) {
  const std::vector<cache::Ref>& outputs = *flight.vertex->outputs;
  auto index = static_cast<size_t>(flight.output);
  if (index >= outputs.size()) return;
  for (const std::shared_ptr<CacheKey>& key : flight.keys) {
    NoteKey(*flight.vertex, *key);
    local_->Save(*key, {outputs[index].id(), Now()}).IgnoreError();
  }
  AfterFlush([] {});
}

void BuildGraph::ReportRun(VertexNode& node) {
  if (!std::exchange(node.run_reported, true)) node.audience->Completed(OkStatus(), false);
}

// Saves an output under the edge's own keys, then completes the edge.
void BuildGraph::TakeOutput(EdgeNode& edge, const VertexNode& ran) {
  const std::vector<cache::Ref>& outputs = *ran.outputs;
  auto index = static_cast<size_t>(edge.output);
  if (index >= outputs.size()) {
    if (&ran == &edge.vertex) ReportRun(edge.vertex);  // the run itself went well
    return Fail(edge, WithVertex(UnknownError(StrCat("invalid response from exec need ", index,
                                                     " index but ", outputs.size(),
                                                     " results received")),
                                 edge.vertex.original));
  }
  cache::KeyResult saved{outputs[index].id(), Now()};
  std::vector<CacheKeyPtr> keys;
  for (const std::shared_ptr<CacheKey>& key : std::exchange(edge.final_keys, {})) {
    key->set_of_result({nullptr, saved.id, saved.created});
    key->set_also(edge.vertex.sub_keys);
    NoteKey(edge.vertex, *key);
    if (Status status = local_->Save(*key, saved); !status.ok()) {
      log::Error("result is not kept", {{"error", status.message()}});
    }
    keys.push_back(key);
  }
  std::shared_ptr<VertexNode> node = edge.vertex.shared_from_this();
  auto ref = std::make_shared<cache::Ref>(outputs[index].Clone());
  bool equal_elsewhere = &ran != &edge.vertex;
  AfterFlush([this, node, edge = &edge, ref, keys, equal_elsewhere] {
    if (equal_elsewhere) {
      node->audience->Started(true);
      node->audience->Completed(OkStatus(), true);
    } else {
      ReportRun(*node);
    }
    if (!node->dead) Complete(*edge, std::move(*ref), keys, !node->ignore_cache);
  });
}

}  // namespace kiln::solver
