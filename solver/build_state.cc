#include "solver/build_state.h"

#include <utility>
#include <vector>

namespace kiln::solver {

void BuildState::Send(const ProgressEvent& event) {
  std::lock_guard lock(progress_mutex_);
  if (const auto* vertex = std::get_if<VertexEvent>(&event)) {
    SendVertex(*vertex);
  } else {
    Emit(event);
  }
}

void BuildState::SendVertex(VertexEvent event) {
  std::vector<VertexEvent> open = {std::move(event)};
  std::vector<VertexEvent> out;  // consumers before what they prove; sent the other way round
  while (!open.empty()) {
    VertexEvent next = std::move(open.back());
    open.pop_back();
    if (next.started.set()) {
      for (const Digest& input : next.inputs) {
        auto it = vertices_.find(input);
        if (it == vertices_.end() || it->second.cached || it->second.completed.set()) continue;
        it->second.cached = true;
        it->second.started = next.started;
        it->second.completed = next.started;
        open.push_back(it->second);
      }
    }
    vertices_[next.digest] = next;
    if (next.cached) MarkCached(next.digest);
    out.push_back(std::move(next));
  }
  for (auto it = out.rbegin(); it != out.rend(); ++it) Emit(std::move(*it));
}

void BuildState::MarkCached(const Digest& vertex) {
  std::vector<Digest> open = {vertex};
  while (!open.empty()) {
    Digest next = std::move(open.back());
    open.pop_back();
    auto it = vertices_.find(next);
    if (it == vertices_.end() || !was_cached_.insert(next).second) continue;
    open.insert(open.end(), it->second.inputs.begin(), it->second.inputs.end());
  }
}

void BuildState::CloseProgress() {
  std::lock_guard lock(progress_mutex_);
  for (auto& [digest, vertex] : vertices_) {
    if (!vertex.started.set() || vertex.completed.set()) continue;
    vertex.completed = Now();
    if (!was_cached_.contains(digest) && vertex.error.empty()) vertex.error = "context canceled";
    Emit(vertex);
  }
}

StatusOr<std::string> BuildState::Memo(std::string_view key,
                                       const std::function<StatusOr<std::string>()>& compute) {
  std::unique_lock lock(memo_mutex_);
  MemoEntry& entry = memo_[std::string(key)];
  memo_changed_.wait(lock, [&] { return !entry.busy; });
  if (entry.has_value) return entry.value;
  entry.busy = true;
  lock.unlock();
  StatusOr<std::string> value = compute();
  lock.lock();
  entry.busy = false;
  if (value.ok()) {
    entry.has_value = true;
    entry.value = *value;
  }
  memo_changed_.notify_all();
  return value;
}

}  // namespace kiln::solver
