// StepUsage: what a step used, as samples of its cgroup, and the machine beside it.
//
// Documents show it as the reference does (provenance: resourceUsage, sysUsage), so the
// names of the values are those of its JSON; units are in the names, sizes are bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace kiln::worker::exec {

// A line of a pressure file (Linux, PSI): averages in percent, total in microseconds.
struct PressureLine {
  double avg10 = 0, avg60 = 0, avg300 = 0;
  uint64_t total = 0;
};
struct Pressure {
  std::optional<PressureLine> some, full;
};

// Values of one controller by name, in the order in which they are shown.
struct Counters {
  std::vector<std::pair<std::string_view, uint64_t>> values;  // names are literals
  std::optional<Pressure> pressure;
  // 0 if it is not there.
  uint64_t Value(std::string_view name) const;
};

struct UsageSample {
  Time at;
  std::optional<Counters> cpu, memory, io, pids, net;
};

// CPU time of the whole machine, seconds.
struct MachineCpu {
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0,
         guest = 0, guest_nice = 0;
};

struct StepUsage {
  std::vector<UsageSample> samples;     // in order; the last one is of the step's end
  std::optional<MachineCpu> machine;    // while the step ran
};

struct MachineSample {
  Time at;
  MachineCpu cpu;
  Counters processes, memory;
  std::optional<Pressure> cpu_pressure, memory_pressure, io_pressure;
};

// {"samples":[…],"sysCPUStat":{…}}
std::string UsageJson(const StepUsage& usage);
// [{"timestamp":…,"cpuStat":…,…},…]
std::string MachineJson(const std::vector<MachineSample>& samples);

// Of this machine, now; values that the kernel does not tell are left out. Blocking.
MachineSample ReadMachine();
MachineCpu ReadMachineCpu();
MachineCpu operator-(const MachineCpu& a, const MachineCpu& b);

// The text of a namespace's /proc/net/dev as the other end of its links counts it; what is
// not zero. And the difference of two such.
Counters HostTraffic(std::string_view net_dev);
Counters TrafficSince(const Counters& before, const Counters& now);

// Text of a pressure file; empty if it is none.
std::optional<Pressure> ParsePressure(std::string_view text);

}  // namespace kiln::worker::exec
