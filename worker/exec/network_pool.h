// NetworkPool: network namespaces kept ready, because making one takes longer than most
// steps do.
#pragma once

#include <condition_variable>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/status.h"
#include "worker/exec/network.h"

namespace kiln::worker::exec {

// Thread-safe. Leases must end before the pool does.
class NetworkPool {
 public:
  using Make = std::function<StatusOr<std::unique_ptr<NetworkLease>>()>;
  // `target` namespaces are made ahead, in the background. More than that stay for
  // `grace` after their last use.
  NetworkPool(size_t target, Make make, std::chrono::milliseconds grace = std::chrono::minutes(5));
  ~NetworkPool();  // takes down what is kept

  // The one last used, or a new one. Goes back to the pool when the lease ends.
  StatusOr<std::unique_ptr<NetworkLease>> Get();
  size_t kept() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Kept {
    std::unique_ptr<NetworkLease> lease;
    Clock::time_point last_used;
  };
  class Lease;

  StatusOr<std::unique_ptr<NetworkLease>> New();
  void Put(std::unique_ptr<NetworkLease> lease);
  void Fill(std::stop_token stop);
  void Clean(std::stop_token stop);

  const size_t target_;
  const Make make_;
  const std::chrono::milliseconds grace_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  size_t size_ = 0;  // kept and lent
  std::vector<Kept> kept_;
  std::jthread keeper_;
};

}  // namespace kiln::worker::exec
