// Builds and vertices: what enters the graph and what leaves it.
#include "solver/build_graph.h"

#include <algorithm>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "solver/job_context.h"

namespace kiln::solver {
namespace {

VertexEvent InitialEvent(const VertexNode& node) {
  VertexEvent event;
  event.digest = node.digest;
  for (const VertexNode::Input& input : node.inputs) event.inputs.push_back(input.vertex->digest);
  event.name = node.vertex->name;
  const pb::OpMetadata& metadata = *node.vertex->metadata;
  if (metadata.has_progress_group()) {
    const pb::ProgressGroup& group = metadata.progress_group();
    event.group = ProgressGroup{group.id(), group.name(), group.weak()};
  }
  return event;
}

bool HasFailures(const VertexNode& node) {
  if (!node.map_error.ok() || !node.run_error.ok()) return true;
  return std::any_of(node.edges.begin(), node.edges.end(),
                     [](const auto& entry) { return entry.second->state.failed; });
}

}  // namespace

BuildGraph::BuildGraph(Parts parts)
    : parts_(std::move(parts)),
      local_(std::make_shared<KeyTable>(parts_.index)) {}

BuildGraph::~BuildGraph() = default;

void BuildGraph::Enter(std::function<void()> function) {
  parts_.mailbox->Post([this, function = std::move(function)] {
    function();
    Pump();
  });
}

void BuildGraph::StartBuild(BuildOptions options) {
  std::string id = options.id;
  Build& build = builds_[id];
  if (build.state == nullptr) build.state = std::make_shared<BuildState>(std::move(options));
}

EdgeNode& BuildGraph::GetEdge(VertexNode& node, int64_t output) {
  std::unique_ptr<EdgeNode>& edge = node.edges[output];
  if (edge == nullptr) edge = std::make_unique<EdgeNode>(node, output, node.inputs.size());
  return *edge;
}

// A vertex without cache serves builds that would take a cached result, not the
// other way round.
std::shared_ptr<VertexNode> BuildGraph::Intern(const std::shared_ptr<const llb::Vertex>& vertex,
                                               bool ignore_cache,
                                               std::vector<VertexNode::Input> inputs) {
  Digest digest = vertex->digest;
  Digest uncached = Digest::Of(StrCat(digest.text(), "-ignorecache"));
  if (auto it = vertices_.find(uncached); it != vertices_.end()) return it->second;
  if (auto it = vertices_.find(digest); it != vertices_.end()) {
    if (it->second->ignore_cache || !ignore_cache) return it->second;
    digest = uncached;
  }
  auto node = std::make_shared<VertexNode>();
  node->digest = digest;
  node->original = vertex->digest;
  node->vertex = vertex;
  node->ignore_cache = ignore_cache;
  if (vertex->metadata->has_export_cache()) {
    node->export_cache = vertex->metadata->export_cache().value();
  }
  node->inputs = std::move(inputs);
  node->contents.resize(node->inputs.size());
  node->tables.push_back(local_);
  node->audience = std::make_shared<Audience>(InitialEvent(*node));
  vertices_.emplace(std::move(digest), node);
  return node;
}

// Brings the vertices of `edge` into the graph, inputs first. Not recursive:
// graphs are as deep as they like.
EdgeNode& BuildGraph::LoadEdge(const llb::Edge& edge, const SolveOptions& options,
                               const std::vector<Build*>& builds, VertexNode* parent) {
  std::unordered_map<const llb::Vertex*, VertexNode*> nodes;
  std::vector<std::shared_ptr<const llb::Vertex>> open = {edge.vertex};
  while (!open.empty()) {
    std::shared_ptr<const llb::Vertex> vertex = open.back();
    size_t before = open.size();
    if (!nodes.contains(vertex.get())) {
      for (const llb::Edge& input : vertex->inputs) {
        if (!nodes.contains(input.vertex.get())) open.push_back(input.vertex);
      }
    }
    if (open.size() > before) continue;
    open.pop_back();
    if (nodes.contains(vertex.get())) continue;
    std::vector<VertexNode::Input> inputs;
    for (const llb::Edge& input : vertex->inputs) {
      inputs.push_back({nodes.at(input.vertex.get()), input.index});
    }
    bool ignore_cache = options.ignore_cache || vertex->metadata->ignore_cache();
    std::shared_ptr<VertexNode> node = Intern(vertex, ignore_cache, std::move(inputs));
    nodes.emplace(vertex.get(), node.get());
    for (Build* build : builds) {
      Join(*build, *node);
      for (const auto& source : options.cache_sources) UseSource(*build, *node, source);
    }
    if (parent != nullptr && parent != node.get()) parent->sub_vertices.insert(node.get());
  }
  return GetEdge(*nodes.at(edge.vertex.get()), edge.index);
}

// The build hears of the vertex, and holds it and all that it stands on.
void BuildGraph::Join(Build& build, VertexNode& node) {
  std::vector<VertexNode*> open = {&node};
  while (!open.empty()) {
    VertexNode* next = open.back();
    open.pop_back();
    if (next->audience->Has(build.state.get())) continue;
    if (HasFailures(*next)) ResetFailures(*next);
    next->audience->Add(build.state);
    build.vertices.push_back(next->shared_from_this());
    for (const VertexNode::Input& input : next->inputs) open.push_back(input.vertex);
    open.insert(open.end(), next->sub_vertices.begin(), next->sub_vertices.end());
  }
}

// A build that joins after a failure has not failed: it may try again.
void BuildGraph::ResetFailures(VertexNode& node) {
  node.map_error = OkStatus();
  node.run_error = OkStatus();
  for (VertexNode::Content& content : node.contents) content.error = OkStatus();
  for (auto& [output, edge] : node.edges) {
    if (!edge->state.failed) continue;
    edge->state = EdgeState(node.inputs.size());
    edge->state.want = WantOf(*edge);
    edge->error = OkStatus();
    edge->keys.clear();
    edge->candidates.clear();
    edge->tried.clear();
    edge->maps_seen = 0;
    edge->map_digests.clear();
    for (EdgeNode::Input& input : edge->inputs) {
      input.seen = 0;
      input.content = nullptr;
    }
  }
}

std::shared_ptr<SourceEntry> BuildGraph::OpenSource(Build& build,
                                                    const std::shared_ptr<CacheSource>& source) {
  for (const auto& entry : build.sources) {
    if (entry->source == source) return entry;
  }
  auto entry = std::make_shared<SourceEntry>();
  entry->source = source;
  build.sources.push_back(entry);
  std::vector<std::string> sessions = {build.state->session()};
  Submit(parts_.pools.network, [this, entry, sessions] {
    Status status = entry->source->Open(sessions);
    Enter([this, entry, status] {
      JobDone();
      OnSourceOpened(entry, status);
    });
  });
  return entry;
}

void BuildGraph::UseSource(Build& build, VertexNode& node,
                           const std::shared_ptr<CacheSource>& source) {
  if (!node.sources.insert(source.get()).second) return;
  std::shared_ptr<SourceEntry> entry = OpenSource(build, source);
  if (entry->failed) return;
  if (entry->table != nullptr) {
    AddTable(node, entry->table);
  } else {
    ++node.opening;
    entry->waiting.push_back(node.weak_from_this());
  }
}

void BuildGraph::OnSourceOpened(const std::shared_ptr<SourceEntry>& entry, const Status& status) {
  if (status.ok()) {
    entry->table = std::make_shared<KeyTable>(entry->source);
  } else {
    entry->failed = true;
    entry->error = status.message();
    log::Warning("cache import failed",
                 {{"source", entry->source->name()}, {"error", status.message()}});
  }
  for (const std::weak_ptr<VertexNode>& waiting : std::exchange(entry->waiting, {})) {
    std::shared_ptr<VertexNode> node = waiting.lock();
    if (node == nullptr || node->dead) continue;
    --node->opening;
    if (entry->table != nullptr) AddTable(*node, entry->table);
    if (node->opening > 0) continue;
    for (auto& [output, edge] : node->edges) {
      if (edge->state.map_asked) AskMap(*edge);
      if (std::exchange(edge->run_deferred, false)) Feed(*edge, event::FoundInstead{0});
    }
  }
}

// Edges that have looked elsewhere already look here as well.
void BuildGraph::AddTable(VertexNode& node, const std::shared_ptr<KeyTable>& table) {
  node.tables.push_back(table);
  for (auto& [output, edge] : node.edges) Reprobe(*edge, *table);
}

void BuildGraph::Solve(uint64_t request, const std::string& build_id, const llb::Edge& edge,
                       const SolveOptions& options, Scheduler::Done done) {
  auto it = builds_.find(build_id);
  if (it == builds_.end() || closing_) return done(CancelledError("context canceled"));
  if (edge.vertex == nullptr) return done(EdgeResult{});
  EdgeNode& node = LoadEdge(edge, options, {&it->second}, nullptr);
  AddRequest(request, it->second.state, node, std::move(done));
}

void BuildGraph::SolveSub(uint64_t request, const std::shared_ptr<VertexNode>& parent,
                          const llb::Edge& edge, Scheduler::Done done) {
  if (parent->dead || closing_) return done(CancelledError("context canceled"));
  if (edge.vertex == nullptr) return done(EdgeResult{});
  std::vector<Build*> builds;
  for (const BuildStatePtr& state : parent->audience->builds()) {
    if (auto it = builds_.find(state->id()); it != builds_.end()) builds.push_back(&it->second);
  }
  EdgeNode& node = LoadEdge(edge, {}, builds, parent.get());
  AddRequest(request, nullptr, node,
             [parent, done = std::move(done)](StatusOr<EdgeResult> result) {
               if (result.ok() && !result->keys.empty()) {
                 parent->sub_keys.push_back(result->keys.front());
               }
               done(std::move(result));
             });
}

void BuildGraph::AddRequest(uint64_t id, BuildStatePtr build, EdgeNode& edge,
                            Scheduler::Done done) {
  auto request = std::make_shared<Request>(Request{id, std::move(build), &edge, std::move(done)});
  requests_.emplace(id, request);
  edge.requests.push_back(request);
  if (edge.state.failed || edge.result.has_value()) {
    Settle(edge);
  } else {
    Feed(edge, event::Wanted{});
  }
}

// Takes the request out of the graph and answers it.
void BuildGraph::Finish(const RequestPtr& request, StatusOr<EdgeResult> result) {
  if (requests_.erase(request->id) == 0) return;
  std::erase(request->edge->requests, request);
  Feed(*request->edge, event::Wanted{});
  Scheduler::Done done = std::move(request->done);
  done(std::move(result));
}

void BuildGraph::CancelRequest(uint64_t request, const Status& reason) {
  auto it = requests_.find(request);
  if (it != requests_.end()) Finish(RequestPtr(it->second), reason);
}

void BuildGraph::CancelBuild(const std::string& id, const Status& reason) {
  std::vector<RequestPtr> mine;
  for (const auto& [number, request] : requests_) {
    if (request->build != nullptr && request->build->id() == id) mine.push_back(request);
  }
  for (const RequestPtr& request : mine) Finish(request, reason);
}

void BuildGraph::EndBuild(const std::string& id, std::function<void()> ended) {
  auto it = builds_.find(id);
  if (it == builds_.end()) return ended();
  CancelBuild(id, CancelledError("context canceled"));
  Pump();
  Build build = std::move(it->second);
  builds_.erase(it);
  NoteSteps(build);
  Ending ending{build.state, {}, std::move(ended)};
  std::vector<std::shared_ptr<VertexNode>> gone = LetGo(build, &ending);
  for (const auto& node : gone) Remove(*node);
  Pump();  // stops what only they wanted
  for (const auto& node : gone) node->edges.clear();
  // What others still want goes on without this build.
  std::erase_if(ending.runs, [&](const std::shared_ptr<Flight>& run) {
    if (run->stop.stop_requested()) return false;
    run->vertex->audience->Remove(build.state.get());
    return true;
  });
  endings_.push_back(std::move(ending));
  FinishEndings();
}

// The vertices that nobody has now. Those that run keep the build as their listener.
std::vector<std::shared_ptr<VertexNode>> BuildGraph::LetGo(const Build& build, Ending* ending) {
  std::vector<std::shared_ptr<VertexNode>> gone;
  for (const std::shared_ptr<VertexNode>& node : build.vertices) {
    if (node->flight != nullptr && node->audience->IsOnlyOf(build.state.get())) {
      ending->runs.push_back(node->flight);
      gone.push_back(node);
      continue;
    }
    node->audience->Remove(build.state.get());
    if (node->audience->empty()) gone.push_back(node);
  }
  return gone;
}

void BuildGraph::AbandonRuns(const std::string& id) {
  for (Ending& ending : endings_) {
    if (ending.state->id() == id) ending.runs.clear();
  }
  FinishEndings();
}

void BuildGraph::FinishEndings() {
  std::vector<Ending> over;
  std::erase_if(endings_, [&](Ending& ending) {
    if (!ending.runs.empty()) return false;
    over.push_back(std::move(ending));
    return true;
  });
  for (Ending& ending : over) {
    ending.state->CloseProgress();
    ending.ended();
  }
}

// Takes a vertex out of the graph. What stands on it goes at the same time: a
// build that holds a vertex holds its inputs.
void BuildGraph::Remove(VertexNode& node) {
  node.dead = true;
  node.stop.request_stop();
  vertices_.erase(node.digest);
  std::vector<cache::Ref> refs;
  for (auto& [output, edge] : node.edges) {
    for (const RequestPtr& request : std::vector<RequestPtr>(edge->requests)) {
      Finish(request, CancelledError("context canceled"));
    }
    edge->load_stop.request_stop();
    LeaveFlight(*edge);
    for (size_t i = 0; i < edge->inputs.size(); ++i) SetWant(*edge, i, Level::kInitial);
    if (edge->result.has_value()) refs.push_back(std::move(*edge->result));
    edge->state.failed = true;
  }
  for (VertexNode::Input& input : node.inputs) {
    for (auto& [output, edge] : input.vertex->edges) {
      std::erase_if(edge->consumers, [&](const EdgeNode::Consumer& consumer) {
        return &consumer.edge->vertex == &node;
      });
    }
  }
  if (node.outputs.has_value()) {
    for (cache::Ref& ref : *node.outputs) refs.push_back(std::move(ref));
    node.outputs.reset();
  }
  Dispose(std::move(refs));
}

void BuildGraph::Close() {
  closing_ = true;
  std::vector<std::string> ids;
  for (const auto& [id, build] : builds_) ids.push_back(id);
  for (const std::string& id : ids) EndBuild(id);
  for (Ending& ending : endings_) ending.runs.clear();
  FinishEndings();
  if (jobs_ == 0) parts_.idle();
}

Status WithVertex(Status status, const Digest& vertex) {
  constexpr std::string_view kType = "github.com/moby/buildkit/errdefs.Vertex+json";
  if (!status.ok() && status.FindDetail(kType) == nullptr) {
    // errdefs.Vertex{digest = 1}; a digest's text is shorter than 128 bytes.
    std::string bytes = {'\x0a', static_cast<char>(vertex.text().size())};
    status.AddDetail(kType, bytes + std::string(vertex.text()));
  }
  return status;
}

}  // namespace kiln::solver
