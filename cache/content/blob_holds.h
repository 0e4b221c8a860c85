// BlobHolds: which blobs a sweep must spare for now. Shared by the content stores.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "base/digest.h"

namespace kiln::cache {

// Thread-safe. Counts events; a blob touched after a living hold was taken is
// spared. May die before the holds that it gave out.
class BlobHolds {
 public:
  std::shared_ptr<void> Hold();
  // To be called before the blob gets its name or its presence is reported.
  void Touch(const Digest& digest);
  // Runs `remove` under the lock that Touch takes, unless the blob is held: a
  // blob that is touched later is then found missing by who touched it.
  void UnlessHeld(const Digest& digest, const std::function<void()>& remove);

 private:
  struct State {
    std::mutex mutex;
    uint64_t clock = 0;
    std::multiset<uint64_t> holds;                   // clock at the start of each
    std::unordered_map<Digest, uint64_t> touched;    // only while there are holds
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace kiln::cache
