#include "worker/exec/network_pool.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

std::atomic<int> g_made = 0;
std::atomic<int> g_gone = 0;

class FakeLease : public NetworkLease {
 public:
  explicit FakeLease(int number) : number_(number) {}
  ~FakeLease() override { ++g_gone; }
  NetworkNamespace network() const override {
    return {.host = false, .path = std::to_string(number_)};
  }

 private:
  int number_;
};

StatusOr<std::unique_ptr<NetworkLease>> MakeFake() {
  return std::unique_ptr<NetworkLease>(std::make_unique<FakeLease>(++g_made));
}

class NetworkPoolTest : public ::testing::Test {
 protected:
  NetworkPoolTest() { g_made = g_gone = 0; }
};

TEST_F(NetworkPoolTest, ANamespaceIsUsedAgain) {
  {
    NetworkPool pool(0, MakeFake);
    auto first = pool.Get();
    auto second = pool.Get();
    EXPECT_EQ((*first)->network().path, "1");
    EXPECT_EQ((*second)->network().path, "2");
    first->reset();
    EXPECT_EQ((*pool.Get())->network().path, "1");
    EXPECT_EQ(g_made, 2);
    EXPECT_EQ(g_gone, 0);
  }
  EXPECT_EQ(g_gone, 2);
}

TEST_F(NetworkPoolTest, TheTargetIsMadeAheadAndNoMore) {
  NetworkPool pool(3, MakeFake);
  while (pool.kept() < 3) std::this_thread::yield();
  EXPECT_EQ(g_made, 3);
}

TEST_F(NetworkPoolTest, WhatIsAboveTheTargetGoesAfterItsGrace) {
  NetworkPool pool(0, MakeFake, std::chrono::milliseconds(1));
  pool.Get()->reset();
  while (g_gone < 1) std::this_thread::yield();
  EXPECT_EQ(pool.kept(), 0U);
}

TEST_F(NetworkPoolTest, AFailureIsTheCallers) {
  NetworkPool pool(0, []() -> StatusOr<std::unique_ptr<NetworkLease>> {
    return UnknownError("no plugin");
  });
  EXPECT_EQ(pool.Get().status().message(), "no plugin");
}

}  // namespace
}  // namespace kiln::worker::exec
