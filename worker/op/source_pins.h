// SourcePins: what the sources of running builds turned out to be, by vertex.
//
// Kept for provenance only: a pin is known when the source is keyed and goes with
// the op. Who reads it must still be in the build that has the vertex.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/digest.h"

namespace kiln::worker {

struct SourcePin {
  std::string pin;  // digest of an image or a file, commit of a repository
  std::string url;  // of a file or a repository, with its ref
};

// Thread-safe.
class SourcePins {
 public:
  void Set(const Digest& vertex, const void* op, SourcePin pin) {
    std::lock_guard lock(mutex_);
    pins_[vertex] = {op, std::move(pin)};
  }
  // Of an op that goes; a later op of the same vertex keeps its own.
  void Drop(const Digest& vertex, const void* op) {
    std::lock_guard lock(mutex_);
    auto found = pins_.find(vertex);
    if (found != pins_.end() && found->second.op == op) pins_.erase(found);
  }
  std::optional<SourcePin> Find(const Digest& vertex) {
    std::lock_guard lock(mutex_);
    auto found = pins_.find(vertex);
    if (found == pins_.end()) return std::nullopt;
    return found->second.pin;
  }

 private:
  struct Entry {
    const void* op = nullptr;
    SourcePin pin;
  };
  std::mutex mutex_;
  std::map<Digest, Entry> pins_;
};

}  // namespace kiln::worker
