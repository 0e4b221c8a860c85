#include "worker/exec/usage_monitor.h"

#include <algorithm>
#include <utility>

namespace kiln::worker::exec {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kInterval{2000};
constexpr int kSamplesPerInterval = 10;  // then the interval doubles
constexpr std::chrono::milliseconds kMachineAge{5};
constexpr size_t kMachineSamples = 20;   // likewise

}  // namespace

UsageMonitor::~UsageMonitor() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  changed_.notify_all();
}

UsageMonitor::Record::Record(UsageMonitor& monitor, std::string cgroup, NetworkCountersFn network)
    : monitor_(monitor),
      cgroup_(monitor.mounts(), std::move(cgroup)),
      network_(std::move(network)),
      before_(monitor.Machine()),
      began_(steady_clock::now()),
      next_(began_ + kInterval),
      interval_(kInterval) {
  std::lock_guard lock(monitor_.mutex_);
  monitor_.records_.insert(this);
  if (!monitor_.thread_.joinable()) {
    monitor_.thread_ = std::jthread([m = &monitor_](std::stop_token stop) { m->Run(stop); });
  }
  // It wakes by itself before a new record is due, unless it has nothing to do.
  if (std::exchange(monitor_.idle_, false)) monitor_.changed_.notify_all();
}

void UsageMonitor::Record::Stop() {
  std::lock_guard lock(monitor_.mutex_);
  running_ = false;
  monitor_.records_.erase(this);
}

StepUsage UsageMonitor::Record::Finish() {
  Stop();
  Sample();
  usage_.machine = monitor_.Machine() - before_;
  return std::move(usage_);
}

// With the monitor's mutex, or after Stop.
void UsageMonitor::Record::Sample() {
  StatusOr<UsageSample> sample = cgroup_.Read();
  if (!sample.ok()) return;
  if (network_) sample->net = network_();
  usage_.samples.push_back(*std::move(sample));
}

// The kernel counts in hundredths of a second, and asking it is not cheap.
MachineCpu UsageMonitor::Machine() {
  std::lock_guard lock(machine_mutex_);
  const auto now = steady_clock::now();
  if (now - machine_read_ > kMachineAge) {
    machine_ = ReadMachineCpu();
    machine_read_ = now;
  }
  return machine_;
}

void UsageMonitor::Run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    auto now = steady_clock::now();
    // Later than any new record; one that comes meanwhile finds the thread awake in time.
    auto next = now + kInterval;
    if (records_.empty()) {
      idle_ = true;
      changed_.wait(lock, stop, [&] { return !idle_; });
      continue;
    }
    for (Record* record : records_) {
      if (record->next_ <= now) {
        record->Sample();
        if (now - record->began_ >= record->interval_ * kSamplesPerInterval) record->interval_ *= 2;
        record->next_ = now + record->interval_;
      }
      next = std::min(next, record->next_);
    }
    changed_.wait_until(lock, stop, next, [] { return false; });
  }
}

MachineMonitor::~MachineMonitor() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  changed_.notify_all();
}

MachineMonitor::Record::Record(MachineMonitor& monitor) : monitor_(monitor) {
  std::lock_guard lock(monitor_.mutex_);
  monitor_.records_.insert(this);
  if (!monitor_.thread_.joinable()) {
    monitor_.thread_ = std::jthread([m = &monitor_](std::stop_token stop) { m->Run(stop); });
  }
  monitor_.changed_.notify_all();
}

MachineMonitor::Record::~Record() {
  std::lock_guard lock(monitor_.mutex_);
  monitor_.records_.erase(this);
}

std::vector<MachineSample> MachineMonitor::Record::Samples() const {
  std::vector<MachineSample> samples;
  {
    std::lock_guard lock(monitor_.mutex_);
    samples = samples_;
  }
  samples.push_back(ReadMachine());
  return samples;
}

void MachineMonitor::Run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (records_.empty()) {
      changed_.wait(lock, stop, [&] { return !records_.empty(); });
      continue;
    }
    changed_.wait_for(lock, stop, kInterval, [] { return false; });
    if (stop.stop_requested() || records_.empty()) continue;
    const MachineSample sample = ReadMachine();
    for (Record* record : records_) {
      if (++record->skipped_ < record->every_) continue;
      record->skipped_ = 0;
      record->samples_.push_back(sample);
      if (record->samples_.size() % kMachineSamples == 0) record->every_ *= 2;
    }
  }
}

}  // namespace kiln::worker::exec
