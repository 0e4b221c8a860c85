// Garbage collection beside builds: what a build waits for a record while over a
// thousand others are removed one by one, as a histogram.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "cache/testing/ref_store_suite.h"

namespace kiln::cache {
namespace {

using std::chrono::steady_clock;

constexpr int kRecords = 1500;
constexpr std::array kBucketsMs = {1, 2, 5, 10, 20, 50, 100, 1000};

class Histogram {
 public:
  void Add(steady_clock::duration took) {
    double ms = std::chrono::duration<double, std::milli>(took).count();
    size_t bucket = 0;
    while (bucket < kBucketsMs.size() && ms >= kBucketsMs[bucket]) ++bucket;
    ++counts_[bucket];
    ++total_;
  }
  int total() const { return total_; }
  // The share that took less than `ms`, one of the bounds.
  double Under(int ms) const {
    int sum = 0;
    for (size_t i = 0; i < kBucketsMs.size() && kBucketsMs[i] <= ms; ++i) sum += counts_[i];
    return total_ == 0 ? 0 : static_cast<double>(sum) / total_;
  }
  void Print(const char* when) const {
    std::printf("%s, %d times:", when, total_);
    for (size_t i = 0; i < kBucketsMs.size(); ++i) {
      std::printf(" <%d ms: %d", kBucketsMs[i], counts_[i]);
    }
    std::printf(" more: %d\n", counts_.back());
  }

 private:
  std::array<int, kBucketsMs.size() + 1> counts_{};
  int total_ = 0;
};

class GcBesideBuilds : public RefStoreSuite {
 protected:
  // What a step needs of the store: its input, a new tree, the tree kept.
  steady_clock::duration OneStep(const std::string& base) {
    auto start = steady_clock::now();
    {
      StatusOr<Ref> input = store_->Get(base);
      EXPECT_TRUE(input.ok()) << input.status();
      Ref made = Make(*input, {"made=1"});
    }
    return steady_clock::now() - start;
  }
};

TEST_P(GcBesideBuilds, AStepWaitsForNoMoreThanASlice) {
  Ref base = Make(Ref(), {"base=1"});
  for (int i = 0; i < kRecords; ++i) Make(base, {"a=" + std::to_string(i)});
  Histogram alone;
  for (int i = 0; i < 200; ++i) alone.Add(OneStep(base.id()));
  alone.Print("alone");
  std::atomic<bool> over = false;
  Status pruned;
  std::thread gc([&] {
    PruneOptions rule;
    rule.max_used_bytes = 1;  // one by one, the longest unused first
    pruned = store_->Prune(rule, {});
    over = true;
  });
  Histogram beside;
  while (!over) beside.Add(OneStep(base.id()));
  gc.join();
  EXPECT_TRUE(pruned.ok()) << pruned;
  beside.Print("beside gc");
  // All but what a busy machine does to a thread now and then.
  EXPECT_GT(beside.Under(50), 0.95);
  EXPECT_GT(beside.total(), 100);
}

INSTANTIATE_TEST_SUITE_P(Overlay, GcBesideBuilds, testing::Values("overlayfs"));

}  // namespace
}  // namespace kiln::cache
