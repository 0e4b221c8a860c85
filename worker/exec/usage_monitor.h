// UsageMonitor: samples of the steps that run, taken on one thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "worker/exec/step_cgroup.h"
#include "worker/exec/step_usage.h"

namespace kiln::worker::exec {

// What a step's network namespace counts; nothing if nobody knows.
using NetworkCountersFn = std::function<std::optional<Counters>()>;

// Thread-safe. Records must end before the monitor does.
class UsageMonitor {
 public:
  explicit UsageMonitor(const CgroupMounts& mounts) : mounts_(mounts) {}
  ~UsageMonitor();

  // Samples of one step, from now on: every two seconds, more rarely the longer it takes.
  class Record {
   public:
    Record(UsageMonitor& monitor, std::string cgroup, NetworkCountersFn network);
    ~Record() { Stop(); }
    Record(const Record&) = delete;
    Record& operator=(const Record&) = delete;
    // The last sample, then all of them. While the cgroup is still there.
    StepUsage Finish();
    const StepCgroup& cgroup() const { return cgroup_; }

   private:
    friend class UsageMonitor;
    void Stop();
    void Sample();

    UsageMonitor& monitor_;
    const StepCgroup cgroup_;
    const NetworkCountersFn network_;
    const MachineCpu before_;
    StepUsage usage_;                                    // guarded by the monitor's mutex
    std::chrono::steady_clock::time_point began_, next_;  // as is what follows
    std::chrono::milliseconds interval_;
    bool running_ = true;
  };

  const CgroupMounts& mounts() const { return mounts_; }

 private:
  void Run(std::stop_token stop);
  MachineCpu Machine();

  const CgroupMounts& mounts_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<Record*> records_;  // guarded by mutex_
  bool idle_ = false;          // the thread waits for a record; guarded by mutex_
  std::mutex machine_mutex_;   // guards what follows
  MachineCpu machine_;
  std::chrono::steady_clock::time_point machine_read_ = {};
  std::jthread thread_;        // made with the first record; guarded by mutex_
};

// Samples of the whole machine, for each build that runs. Thread-safe. Records must end
// before it does.
class MachineMonitor {
 public:
  // From its making on: every two seconds, of a long time fewer.
  class Record {
   public:
    explicit Record(MachineMonitor& monitor);
    ~Record();
    Record(const Record&) = delete;
    Record& operator=(const Record&) = delete;
    // Those so far, and one of now.
    std::vector<MachineSample> Samples() const;

   private:
    friend class MachineMonitor;
    MachineMonitor& monitor_;
    std::vector<MachineSample> samples_;  // guarded by the monitor's mutex
    size_t every_ = 1, skipped_ = 0;      // as these
  };

  MachineMonitor() = default;
  ~MachineMonitor();
  std::unique_ptr<Record> Start() { return std::make_unique<Record>(*this); }

 private:
  void Run(std::stop_token stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<Record*> records_;  // guarded by mutex_
  std::jthread thread_;        // made with the first record; guarded by mutex_
};

}  // namespace kiln::worker::exec
