// RandomWorld: a random graph of fake ops, and what an oracle says of each vertex.
//
// The oracle evaluates one vertex after the other, without cache, thread or order:
// what a scheduler answers must be the same, whatever it shared and whenever.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "solver/testing/fake_ops.h"

namespace kiln::solver::testing {

struct WorldOptions {
  size_t most_vertices = 16;
  bool ignore_cache = false;   // some vertices run without cache
  bool distinct_keys = false;  // no vertex has the key of another, and none fails
};

// Not thread-safe but for `ops`.
struct RandomWorld {
  RandomWorld(uint64_t seed, WorldOptions options);
  RandomWorld(const RandomWorld&) = delete;
  uint64_t Pick(uint64_t limit) { return random() % limit; }

  std::mt19937_64 random;
  FakeOps ops;
  std::vector<std::shared_ptr<const llb::Vertex>> vertices;
  std::vector<std::string> expected;  // ids of results; "" is a failure
  std::set<std::string> uncached;     // results that may be made any number of times
  std::function<void()> during_job;   // called in the middle of jobs, if set

 private:
  void AddVertex(size_t number, const WorldOptions& options);
};

}  // namespace kiln::solver::testing
