// Cost of the scheduler alone: a layered graph of ops that do nothing.
//
//   scheduler_bench [VERTICES…]
//
// Prints CPU and wall time for an all-miss and an all-hit build of each size (100 to
// 100 000 by default), and the memory that a vertex takes while its build lasts.
#include <malloc.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
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

// Bytes that malloc has handed out.
size_t Allocated() {
  struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
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

// Solves the graph as one build; returns the bytes held when it is solved and idle.
size_t Measure(const char* what, Scheduler& scheduler,
               const std::shared_ptr<const llb::Vertex>& end) {
  double cpu = CpuSeconds();
  auto start = std::chrono::steady_clock::now();
  scheduler.StartBuild({what, "", nullptr, 0});
  auto result = scheduler.SolveAndWait(what, {end, 0}, {}, {});
  std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  std::printf("  %s %8.4f s CPU %8.4f s wall%s", what, CpuSeconds() - cpu, wall.count(),
              result.ok() ? "" : " (failed)");
  size_t held = Allocated();
  scheduler.EndBuild(what);
  return held;
}

void MeasureSize(size_t size) {
  cache::MemoryKeyIndex index;
  testing::FakeOps ops;
  JobPool exec("exec", 2), network("network", 2), disk("disk", 2);
  auto end = MakeGraph(ops, size);
  std::printf("%7zu vertices:", size);
  size_t before = Allocated();
  {
    Scheduler scheduler(index, ops, {exec, network, disk});
    size_t held = Measure("all miss", scheduler, end);
    std::printf(" %5zu bytes per vertex;", (held - before) / size);
  }
  {
    Scheduler scheduler(index, ops, {exec, network, disk});
    Measure("all hit", scheduler, end);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace kiln::solver

int main(int argc, char** argv) {
  std::vector<size_t> sizes;
  for (int i = 1; i < argc; ++i) {
    uint64_t size = 0;
    if (!kiln::ParseUint64(argv[i], &size) || size < 16) return 2;
    sizes.push_back(size);
  }
  if (sizes.empty()) sizes = {100, 1'000, 10'000, 100'000};
  for (size_t size : sizes) kiln::solver::MeasureSize(size);
}
