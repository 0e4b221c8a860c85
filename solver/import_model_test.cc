// Hits do not depend on who asks beside you: builds over the same imports, at once and in
// any order, run and find exactly what each of them runs and finds alone.
//
// The imports are what an earlier build left, cut at random into sources of which some
// are slow, some fail, and some have lost results. KILN_MODEL_SEED repeats one world,
// KILN_MODEL_ROUNDS asks for more of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "cache/index/memory_key_index.h"
#include "solver/cache_key.h"
#include "solver/cache_source.h"
#include "solver/testing/manual_loop.h"
#include "solver/testing/random_world.h"

namespace kiln::solver {
namespace {

using testing::ManualLoop;
using testing::RandomWorld;
using testing::RecordingSink;

// An index that can be read out again, as an export does it.
class KeptIndex : public cache::MemoryKeyIndex {
 public:
  struct Link {
    std::string parent;
    cache::KeyLink link;
    std::string key;
  };
  Status AddResult(std::string_view key, const cache::KeyResult& result) override {
    results[result.id].insert(std::string(key));
    return MemoryKeyIndex::AddResult(key, result);
  }
  Status AddLink(std::string_view parent, const cache::KeyLink& link,
                 std::string_view key) override {
    links.push_back({std::string(parent), link, std::string(key)});
    return MemoryKeyIndex::AddLink(parent, link, key);
  }
  // Under which keys, whose names are made at random: a seed draws among the results.
  std::map<std::string, std::set<std::string>> results;
  std::vector<Link> links;
};

// A part of what an index knows, as an imported cache shows it.
class PartSource : public CacheSource {
 public:
  PartSource(const KeptIndex& from, RandomWorld& world, std::string id)
      : id_(std::move(id)), world_(world), fails_(world.Pick(6) == 0) {
    for (const KeptIndex::Link& link : from.links) {
      cache::KeyLink shown{link.link.input, 0, RootKey(link.link.digest, link.link.output),
                           link.link.selector};
      keys_.AddLink(link.parent, shown, link.key).IgnoreError();
    }
    const uint64_t share = 1 + world.Pick(4);
    for (const auto& [result, under] : from.results) {
      if (world.Pick(4) >= share) continue;
      for (const std::string& key : under) keys_.AddResult(key, {result, Time{1}}).IgnoreError();
      if (world.Pick(8) == 0) lost_.insert(result);
    }
  }
  const std::string& id() const override { return id_; }
  const std::string& name() const override { return id_; }
  Status Open(const std::vector<std::string>&) override {
    if (world_.during_job) world_.during_job();
    return fails_ ? UnavailableError("the source is away") : OkStatus();
  }
  cache::KeyIndex& keys() override { return fails_ ? none_ : keys_; }
  StatusOr<std::vector<Loaded>> Load(std::string_view result, JobContext&) override {
    if (world_.during_job) world_.during_job();
    if (lost_.contains(std::string(result))) return NotFoundError("the blob is gone");
    ASSIGN_OR_RETURN(std::vector<std::string> under, keys_.KeysOf(result));
    std::vector<Loaded> loaded;
    loaded.push_back({under.front(), testing::FakeRef(std::string(result)), Time{1}});
    return loaded;
  }

 private:
  const std::string id_;
  RandomWorld& world_;
  const bool fails_;
  cache::MemoryKeyIndex keys_, none_;
  std::set<std::string> lost_;
};

struct Target {
  std::string build;
  std::vector<size_t> vertices;
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  // What the build was told of each vertex that ended.
  std::set<std::string> Shown(bool cached) const {
    std::set<std::string> names;
    for (const auto& [name, vertex] : sink->vertices()) {
      if (vertex.completed.set() && vertex.cached == cached) names.insert(name);
    }
    return names;
  }
};
using Sources = std::vector<std::shared_ptr<CacheSource>>;

// Builds over one new graph. Gives how often each result was made.
std::map<std::string, int> Run(RandomWorld& world, cache::KeyIndex& index, const Sources& sources,
                               std::vector<Target>& targets) {
  const std::map<std::string, int> before = world.ops.made();
  ManualLoop loop(world.random);
  BuildGraph graph(loop.Parts(index, world.ops));
  world.during_job = [&] { loop.StepInsideJob(); };
  size_t open = 0;
  uint64_t request = 0;
  for (Target& target : targets) {
    graph.Enter([&] { graph.StartBuild({target.build, "", target.sink, 0}); });
    for (size_t vertex : target.vertices) {
      ++open;
      graph.Enter([&, vertex] {
        graph.Solve(++request, target.build, {world.vertices[vertex], 0},
                    {.cache_sources = sources}, [&, vertex](StatusOr<EdgeResult> result) {
                      --open;
                      EXPECT_EQ(result.ok() ? result->ref.id() : "", world.expected[vertex]);
                    });
      });
      for (uint64_t steps = world.Pick(12); steps > 0; --steps) loop.Step();
    }
  }
  while (loop.Step()) {
  }
  EXPECT_EQ(open, 0U) << "requests wait for ever";
  for (Target& target : targets) graph.Enter([&] { graph.EndBuild(target.build); });
  graph.Enter([&] { graph.Close(); });
  while (loop.Step()) {
  }
  world.during_job = nullptr;
  std::map<std::string, int> made = world.ops.made();
  for (const auto& [result, count] : before) {
    if ((made[result] -= count) == 0) made.erase(result);
  }
  return made;
}

std::vector<Target> DrawTargets(RandomWorld& world) {
  std::vector<Target> targets;
  const size_t builds = 2 + world.Pick(4);
  const bool alike = world.Pick(2) == 0;
  for (size_t b = 0; b < builds; ++b) {
    Target& target = targets.emplace_back();
    target.build = StrCat("b", b);
    if (alike && b > 0) {
      target.vertices = targets[0].vertices;
      continue;
    }
    for (size_t i = 0; i <= world.Pick(2); ++i) {
      target.vertices.push_back(world.Pick(world.vertices.size()));
    }
  }
  return targets;
}

Target Again(const Target& target) {
  Target fresh;
  fresh.build = target.build;
  fresh.vertices = target.vertices;
  return fresh;
}

// Those that have inputs.
std::set<std::string> Steps(const RandomWorld& world, const std::set<std::string>& names) {
  std::set<std::string> steps;
  for (const auto& vertex : world.vertices) {
    if (!vertex->inputs.empty() && names.contains(vertex->name)) steps.insert(vertex->name);
  }
  return steps;
}

struct Counts {
  uint64_t builds = 0, ran = 0, hits = 0;
};

void Live(uint64_t seed, Counts& counts) {
  RandomWorld world(seed, {.most_vertices = 24, .distinct_keys = true});
  KeptIndex full;
  std::vector<Target> earlier(1);
  earlier[0].build = "earlier";
  for (size_t i = 0; i < world.vertices.size(); ++i) earlier[0].vertices.push_back(i);
  Run(world, full, {}, earlier);
  Sources sources;
  for (uint64_t i = 0, many = 1 + world.Pick(3); i < many; ++i) {
    sources.push_back(std::make_shared<PartSource>(full, world, StrCat("source", i)));
  }

  std::vector<Target> together = DrawTargets(world);
  std::set<std::string> wanted;  // results that some build makes when it is alone
  std::vector<Target> alone;
  for (const Target& target : together) {
    std::vector<Target> one = {Again(target)};
    cache::MemoryKeyIndex index;
    const std::map<std::string, int> own = Run(world, index, sources, one);
    for (const auto& [result, times] : own) wanted.insert(result);
    // Once more, in another order.
    std::vector<Target> two = {Again(target)};
    cache::MemoryKeyIndex other;
    EXPECT_EQ(Run(world, other, sources, two), own);
    alone.push_back(std::move(one[0]));
  }
  cache::MemoryKeyIndex index;
  std::map<std::string, int> made = Run(world, index, sources, together);

  std::set<std::string> results;
  for (const auto& [result, times] : made) {
    results.insert(result);
    EXPECT_EQ(times, 1) << result << " was made more than once";
  }
  EXPECT_EQ(results, wanted);
  const bool alike = std::ranges::all_of(together, [&](const Target& target) {
    return target.vertices == together[0].vertices;
  });
  for (size_t b = 0; b < together.size(); ++b) {
    SCOPED_TRACE(together[b].build);
    const std::set<std::string> ran = alone[b].Shown(false), shown = together[b].Shown(true);
    for (size_t v = 0; v < world.vertices.size(); ++v) {
      const std::string& name = world.vertices[v]->name;
      // Others may need the tree of a step whose key was enough here.
      if (!alone[b].Shown(true).contains(name) || results.contains(world.expected[v])) continue;
      EXPECT_TRUE(shown.contains(name)) << name << " is a hit alone, and not beside others";
    }
    counts.ran += ran.size();
    counts.hits += alone[b].Shown(true).size();
    ++counts.builds;
    if (!alike) continue;
    // Of a source that gave no more than its key it is shown that it was asked, or, where
    // another build had asked already, that it was known.
    EXPECT_EQ(Steps(world, together[b].Shown(true)), Steps(world, alone[b].Shown(true)));
    EXPECT_EQ(Steps(world, together[b].Shown(false)), Steps(world, ran));
  }
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && ParseUint64(text, &value) ? value : otherwise;
}

TEST(ImportModel, BuildsAtOnceHitWhatEachHitsAlone) {
  uint64_t seed = FromEnvironment("KILN_MODEL_SEED", 0);
  uint64_t rounds = seed != 0 ? 1 : FromEnvironment("KILN_MODEL_ROUNDS", 150);
  if (seed == 0) seed = std::random_device()();
  log::SetLevel(log::Level::kError);  // sources that fail are warned of by the hundred
  Counts counts;
  for (uint64_t i = 0; i < rounds && !HasFailure(); ++i, ++seed) {
    SCOPED_TRACE(StrCat("KILN_MODEL_SEED=", seed));
    Live(seed, counts);
  }
  log::SetLevel(log::Level::kInfo);
  if (rounds == 1) return;
  // Worlds in which nothing hits, or nothing runs, would show nothing.
  EXPECT_GT(counts.hits, counts.builds);
  EXPECT_GT(counts.ran, counts.builds);
}

}  // namespace
}  // namespace kiln::solver
