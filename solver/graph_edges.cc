// What moves an edge: events into the machine, its actions, and keys.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "solver/build_graph.h"

namespace kiln::solver {
namespace {

// Matches of several tables live in one set; the table's place in the vertex tells them apart.
std::string MatchOf(size_t table, const std::string& id) { return StrCat(table, ":", id); }

bool SplitMatch(const std::string& match, size_t* table, std::string* id) {
  std::string_view number, rest;
  uint64_t value = 0;
  if (!StrCut(match, ":", &number, &rest) || !ParseUint64(number, &value)) return false;
  *table = value;
  *id = rest;
  return true;
}

std::string CandidateId(const CacheRecord& record) {
  return StrCat(record.source == nullptr ? std::string() : record.source->id(), "\n", record.id);
}

}  // namespace

void BuildGraph::Pump() {
  while (!queue_.empty()) {
    auto [edge, event] = std::move(queue_.front());
    queue_.pop_front();
    Dispatch(*edge, std::move(event));
  }
}

void BuildGraph::Dispatch(EdgeNode& edge, Event event) {
  ++events_;
  if (edge.vertex.dead) return;
  Level level = ShownLevel(edge.state);
  Level want = edge.state.want;
  bool failed = edge.state.failed;
  if (auto* wanted = std::get_if<event::Wanted>(&event)) wanted->level = WantOf(edge);
  std::vector<Action> actions = Step(edge.state, event);
  if (edge.state.want != want) OnWantChanged(edge, want);
  for (const Action& action : actions) Perform(edge, action);
  if (ShownLevel(edge.state) != level || edge.state.failed != failed) {
    SyncConsumers(edge);
    Settle(edge);
  }
}

void BuildGraph::Perform(EdgeNode& edge, const Action& action) {
  if (std::holds_alternative<action::AskMap>(action)) {
    AskMap(edge);
  } else if (const auto* want = std::get_if<action::Want>(&action)) {
    SetWant(edge, want->dep, want->level);
  } else if (const auto* content = std::get_if<action::ComputeContent>(&action)) {
    ComputeContent(edge, content->dep);
  } else if (const auto* look = std::get_if<action::LookUp>(&action)) {
    LookUp(edge, look->matches);
  } else if (std::holds_alternative<action::Load>(action)) {
    StartLoad(edge);
  } else {
    StartRun(edge);
  }
}

Level BuildGraph::WantOf(const EdgeNode& edge) const {
  if (!edge.requests.empty()) return Level::kComplete;
  Level want = Level::kInitial;
  for (const EdgeNode::Consumer& consumer : edge.consumers) want = std::max(want, consumer.want);
  return want;
}

void BuildGraph::SetWant(EdgeNode& edge, size_t dep, Level level) {
  EdgeNode::Input& input = edge.inputs[dep];
  if (input.edge == nullptr) {
    if (level == Level::kInitial) return;
    const VertexNode::Input& source = edge.vertex.inputs[dep];
    input.edge = &GetEdge(*source.vertex, source.output);
  }
  EdgeNode& target = *input.edge;
  auto it = std::find_if(target.consumers.begin(), target.consumers.end(),
                         [&](const EdgeNode::Consumer& consumer) {
                           return consumer.edge == &edge && consumer.dep == dep;
                         });
  if (it == target.consumers.end()) {
    target.consumers.push_back({&edge, dep, level});
  } else {
    it->want = level;
  }
  Feed(target, event::Wanted{});
  if (level != Level::kInitial) SyncInput(edge, dep);
}

bool BuildGraph::Wanted(const VertexNode& node) const {
  return std::any_of(node.edges.begin(), node.edges.end(), [](const auto& entry) {
    return entry.second->state.want != Level::kInitial;
  });
}

void BuildGraph::OnWantChanged(EdgeNode& edge, Level before) {
  VertexNode& node = edge.vertex;
  if (edge.state.want != Level::kComplete && before == Level::kComplete) {
    edge.load_stop.request_stop();
    LeaveFlight(edge);
  }
  if (edge.state.want == Level::kInitial && !Wanted(node)) {
    node.stop.request_stop();
  } else if (edge.state.want != Level::kInitial && node.stop.stop_requested()) {
    node.stop = std::stop_source();
  }
}

void BuildGraph::SyncConsumers(EdgeNode& edge) {
  for (const EdgeNode::Consumer& consumer : edge.consumers) {
    if (consumer.want != Level::kInitial) SyncInput(*consumer.edge, consumer.dep);
  }
}

// Tells an edge what its input knows by now: keys first, then how far it has come.
void BuildGraph::SyncInput(EdgeNode& edge, size_t dep) {
  EdgeNode::Input& input = edge.inputs[dep];
  if (input.edge == nullptr || edge.state.failed) return;
  if (input.edge->state.failed) return Fail(edge, input.edge->error);
  const std::vector<CacheKeyPtr>& keys = input.edge->keys;
  if (edge.maps_seen > 0 && input.seen < keys.size()) {
    std::vector<KeyWithSelector> fresh;
    for (size_t i = input.seen; i < keys.size(); ++i) {
      fresh.push_back({keys[i], edge.vertex.maps.back().deps[dep].selector});
    }
    input.seen = keys.size();
    MatchSet matches = Probe(edge, dep, fresh);
    if (!matches.empty()) Feed(edge, event::DepMatched{dep, std::move(matches)});
  }
  if (ShownLevel(input.edge->state) > edge.state.deps[dep].level) {
    Feed(edge, event::DepReached{dep, ShownLevel(input.edge->state)});
  }
}

MatchSet BuildGraph::Probe(const EdgeNode& edge, size_t dep,
                           std::span<const KeyWithSelector> keys, const KeyTable* only) const {
  MatchSet matches;
  if (edge.vertex.ignore_cache || edge.vertex.maps.empty() || keys.empty()) return matches;
  for (size_t i = 0; i < edge.vertex.tables.size(); ++i) {
    const KeyTable& table = *edge.vertex.tables[i];
    if (only != nullptr && only != &table) continue;
    for (const std::string& id : table.Query(keys, static_cast<int64_t>(dep),
                                             edge.vertex.maps.back().digest, edge.output)) {
      matches.insert(MatchOf(i, id));
    }
  }
  return matches;
}

MatchSet BuildGraph::RootMatches(const EdgeNode& edge, const Digest& digest,
                                 const KeyTable* only) const {
  MatchSet matches;
  if (edge.vertex.ignore_cache) return matches;
  for (size_t i = 0; i < edge.vertex.tables.size(); ++i) {
    const KeyTable& table = *edge.vertex.tables[i];
    if (only != nullptr && only != &table) continue;
    std::string id = table.FindRoot(digest, edge.output);
    if (!id.empty()) matches.insert(MatchOf(i, id));
  }
  return matches;
}

void BuildGraph::Reprobe(EdgeNode& edge, const KeyTable& table) {
  if (edge.maps_seen == 0 || edge.state.failed || edge.result.has_value()) return;
  if (edge.inputs.empty()) {
    for (const Digest& digest : edge.map_digests) {
      MatchSet matches = RootMatches(edge, digest, &table);
      if (!matches.empty()) Feed(edge, event::RootMatched{std::move(matches)});
    }
    return;
  }
  for (size_t dep = 0; dep < edge.inputs.size(); ++dep) {
    std::vector<KeyWithSelector> keys = InputKeys(edge, dep);
    MatchSet matches = Probe(edge, dep, keys, &table);
    if (!matches.empty()) Feed(edge, event::DepMatched{dep, std::move(matches)});
  }
}

// All keys that stand for an input: those of its result if there is one.
std::vector<KeyWithSelector> BuildGraph::InputKeys(const EdgeNode& edge, size_t dep) const {
  std::vector<KeyWithSelector> keys;
  const EdgeNode::Input& input = edge.inputs[dep];
  if (input.edge != nullptr) {
    const auto& known = input.edge->result.has_value() ? input.edge->result_keys : input.edge->keys;
    for (const CacheKeyPtr& key : known) {
      keys.push_back({key, edge.vertex.maps.back().deps[dep].selector});
    }
  }
  if (input.content != nullptr) keys.push_back({input.content, Digest()});
  return keys;
}

std::vector<std::vector<KeyWithSelector>> BuildGraph::KeyDeps(const EdgeNode& edge) const {
  std::vector<std::vector<KeyWithSelector>> deps;
  for (size_t i = 0; i < edge.inputs.size(); ++i) deps.push_back(InputKeys(edge, i));
  return deps;
}

void BuildGraph::LookUp(EdgeNode& edge, const MatchSet& matches) {
  size_t count = 0;
  for (const std::string& match : matches) {
    size_t place = 0;
    std::string id;
    KILN_CHECK(SplitMatch(match, &place, &id));
    const KeyTable& table = *edge.vertex.tables[place];
    Digest digest = edge.vertex.maps.back().digest;
    for (const Digest& candidate : edge.map_digests) {  // roots: the map that it came from
      if (RootKey(candidate, edge.output).text() == id) digest = candidate;
    }
    auto key = std::make_shared<CacheKey>(digest, edge.output, edge.vertex.digest);
    key->set_deps(KeyDeps(edge));
    key->set_export_cache(edge.vertex.export_cache);
    key->SetIdIn(&table, id);
    std::vector<CacheRecord> records = table.Records(id);
    key->set_records(records);
    count += AddCandidates(edge, key, table, records);
    edge.keys.push_back(std::move(key));
  }
  Feed(edge, event::RecordsFound{count});
  SyncConsumers(edge);
}

size_t BuildGraph::AddCandidates(EdgeNode& edge, const CacheKeyPtr& key, const KeyTable& table,
                                 const std::vector<CacheRecord>& records) {
  size_t count = 0;
  for (const CacheRecord& record : records) {
    if (!edge.tried.insert(CandidateId(record)).second) continue;
    edge.candidates.push_back({record, key, &table});
    ++count;
  }
  return count;
}

void BuildGraph::Complete(EdgeNode& edge, cache::Ref ref, std::vector<CacheKeyPtr> keys,
                          bool offer_keys) {
  if (edge.result.has_value() || edge.state.failed) {
    std::vector<cache::Ref> spare;
    spare.push_back(std::move(ref));
    return Dispose(std::move(spare));
  }
  edge.result = std::move(ref);
  if (offer_keys) edge.keys.insert(edge.keys.end(), keys.begin(), keys.end());
  edge.result_keys = std::move(keys);
  edge.candidates.clear();
  Feed(edge, event::Completed{});
}

void BuildGraph::Fail(EdgeNode& edge, const Status& status) {
  if (edge.state.failed || edge.result.has_value()) return;
  if (edge.error.ok()) edge.error = status;
  Feed(edge, event::Failed{});
}

// Answers those who wait for an edge that is decided.
void BuildGraph::Settle(EdgeNode& edge) {
  if (!edge.state.failed && !edge.result.has_value()) return;
  for (const RequestPtr& request : std::vector<RequestPtr>(edge.requests)) {
    if (edge.state.failed) {
      Finish(request, edge.error);
    } else {
      Finish(request, EdgeResult{edge.result->Clone(), edge.result_keys});
    }
  }
}

}  // namespace kiln::solver
