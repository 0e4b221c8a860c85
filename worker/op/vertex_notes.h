// VertexNotes: what the ops of running builds leave for provenance, by vertex.
//
// A note goes with the op that made it. Who reads it must still be in the build that has the
// vertex.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "base/digest.h"

namespace kiln::worker {

// Thread-safe.
template <typename Note>
class VertexNotes {
 public:
  void Set(const Digest& vertex, const void* op, Note note) {
    std::lock_guard lock(mutex_);
    notes_[vertex] = {op, std::move(note)};
  }
  // Of an op that goes; a later op of the same vertex keeps its own.
  void Drop(const Digest& vertex, const void* op) {
    std::lock_guard lock(mutex_);
    auto found = notes_.find(vertex);
    if (found != notes_.end() && found->second.op == op) notes_.erase(found);
  }
  std::optional<Note> Find(const Digest& vertex) {
    std::lock_guard lock(mutex_);
    auto found = notes_.find(vertex);
    if (found == notes_.end()) return std::nullopt;
    return found->second.note;
  }

 private:
  struct Entry {
    const void* op = nullptr;
    Note note;
  };
  std::mutex mutex_;
  std::map<Digest, Entry> notes_;
};

}  // namespace kiln::worker
