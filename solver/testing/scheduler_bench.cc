// Cost of the scheduler alone: a layered graph of ops that do nothing.
//
//   scheduler_bench [VERTICES]
//
// Prints CPU and wall time for an all-miss and an all-hit build, and the memory
// that an idle vertex takes.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "base/strings.h"
#include "cache/index/memory_key_index.h"
#include "solver/scheduler.h"
#include "solver/testing/fake_ops.h"

namespace kiln::solver {
namespace {

double CpuSeconds() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const struct timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long PeakKilobytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Layers of eight; each vertex stands on the one below it and another of that layer,
// the end on the last layer: all of them are needed.
std::shared_ptr<const llb::Vertex> MakeGraph(testing::FakeOps& ops, size_t size) {
  std::mt19937_64 random(1);
  std::vector<std::shared_ptr<const llb::Vertex>> vertices;
  for (size_t i = 0; i + 1 < size; ++i) {
    testing::Recipe recipe{.name = StrCat("v", i)};
    recipe.result = StrCat("r", i);
    if (i >= 8) {
      recipe.inputs.push_back({vertices[i - 8], 0});
      recipe.inputs.push_back({vertices[i / 8 * 8 - 8 + random() % 8], 0});
    }
    vertices.push_back(ops.Add(std::move(recipe)));
  }
  testing::Recipe end{.name = "end", .result = "end"};
  for (size_t i = 0; i < 8 && i < vertices.size(); ++i) {
    end.inputs.push_back({vertices[vertices.size() - 1 - i], 0});
  }
  return ops.Add(std::move(end));
}

void Measure(const char* what, Scheduler& scheduler, const std::shared_ptr<const llb::Vertex>& end) {
  double cpu = CpuSeconds();
  auto start = std::chrono::steady_clock::now();
  scheduler.StartBuild({what, "", nullptr, 0});
  auto result = scheduler.SolveAndWait(what, {end, 0}, {}, {});
  scheduler.EndBuild(what);
  std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  std::printf("%s: %.3f s CPU, %.3f s wall%s\n", what, CpuSeconds() - cpu, wall.count(),
              result.ok() ? "" : " (failed)");
}

int Main(size_t size) {
  cache::MemoryKeyIndex index;
  testing::FakeOps ops;
  JobPool exec("exec", 2), network("network", 2), disk("disk", 2);
  auto end = MakeGraph(ops, size);
  long before = PeakKilobytes();
  {
    Scheduler scheduler(index, ops, {exec, network, disk});
    Measure("all miss", scheduler, end);
  }
  std::printf("memory: %ld bytes per vertex\n",
              (PeakKilobytes() - before) * 1024 / static_cast<long>(size));
  Scheduler scheduler(index, ops, {exec, network, disk});
  Measure("all hit", scheduler, end);
  return 0;
}

}  // namespace
}  // namespace kiln::solver

int main(int argc, char** argv) {
  uint64_t size = 10'000;
  if (argc > 1 && !kiln::ParseUint64(argv[1], &size)) return 2;
  return kiln::solver::Main(size);
}
