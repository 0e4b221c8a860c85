#include "worker/exec/network_pool.h"

#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker::exec {

class NetworkPool::Lease : public NetworkLease {
 public:
  Lease(NetworkPool& pool, std::unique_ptr<NetworkLease> lease)
      : pool_(pool), lease_(std::move(lease)), before_(lease_->Traffic()) {}
  ~Lease() override { pool_.Put(std::move(lease_)); }
  NetworkNamespace network() const override { return lease_->network(); }
  std::optional<Counters> Traffic() const override {
    std::optional<Counters> now = lease_->Traffic();
    if (!now || !before_) return std::nullopt;
    return TrafficSince(*before_, *now);
  }

 private:
  NetworkPool& pool_;
  std::unique_ptr<NetworkLease> lease_;
  const std::optional<Counters> before_;  // of the steps that had it earlier
};

NetworkPool::NetworkPool(size_t target, Make make, std::chrono::milliseconds grace)
    : target_(target), make_(std::move(make)), grace_(grace) {
  keeper_ = std::jthread([this](std::stop_token stop) {
    Fill(stop);
    Clean(stop);
  });
}

NetworkPool::~NetworkPool() {
  keeper_.request_stop();
  if (keeper_.joinable()) keeper_.join();
}

StatusOr<std::unique_ptr<NetworkLease>> NetworkPool::New() {
  ASSIGN_OR_RETURN(std::unique_ptr<NetworkLease> made, make_());
  std::lock_guard lock(mutex_);
  ++size_;
  return made;
}

StatusOr<std::unique_ptr<NetworkLease>> NetworkPool::Get() {
  std::unique_ptr<NetworkLease> lease;
  {
    std::lock_guard lock(mutex_);
    if (!kept_.empty()) {
      lease = std::move(kept_.back().lease);
      kept_.pop_back();
    }
  }
  if (lease == nullptr) {
    ASSIGN_OR_RETURN(lease, New());
  }
  return std::unique_ptr<NetworkLease>(std::make_unique<Lease>(*this, std::move(lease)));
}

void NetworkPool::Put(std::unique_ptr<NetworkLease> lease) {
  std::lock_guard lock(mutex_);
  kept_.push_back({std::move(lease), Clock::now()});
  changed_.notify_all();
}

size_t NetworkPool::kept() const {
  std::lock_guard lock(mutex_);
  return kept_.size();
}

void NetworkPool::Fill(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      std::lock_guard lock(mutex_);
      if (size_ >= target_) return;
    }
    StatusOr<std::unique_ptr<NetworkLease>> made = New();
    if (!made.ok()) {
      log::Error(StrCat("failed to create new network namespace while prefilling pool: ",
                        made.status().message()));
      return;
    }
    Put(*std::move(made));
  }
}

// The first of kept_ is the one that has been idle for longest.
void NetworkPool::Clean(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (size_ <= target_ || kept_.empty()) {
      changed_.wait(lock, stop, [&] { return size_ > target_ && !kept_.empty(); });
      continue;
    }
    const Clock::time_point due = kept_.front().last_used + grace_;
    if (Clock::now() < due) {
      changed_.wait_until(lock, stop, due, [] { return false; });
      continue;
    }
    std::unique_ptr<NetworkLease> old = std::move(kept_.front().lease);
    kept_.erase(kept_.begin());
    --size_;
    lock.unlock();
    old.reset();
    lock.lock();
  }
}

}  // namespace kiln::worker::exec
