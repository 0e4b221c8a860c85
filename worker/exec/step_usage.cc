#include "worker/exec/step_usage.h"

#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  for (std::string_view word : StrSplit(line, ' ')) {
    word = TrimSpace(word);
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

// As Go writes a float64 that is neither tiny nor huge: no exponent, no trailing zeros.
std::string FloatJson(double value) {
  std::array<char, 64> text{};
  auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return {text.data(), end.ptr};
}

std::string LineJson(const std::optional<PressureLine>& line) {
  if (!line) return "null";
  GoJsonObject out;
  out.Raw("avg10", FloatJson(line->avg10));
  out.Raw("avg60", FloatJson(line->avg60));
  out.Raw("avg300", FloatJson(line->avg300));
  out.Raw("total", std::to_string(line->total));
  return out.Finish();
}

std::string PressureJson(const Pressure& pressure) {
  GoJsonObject out;
  out.Raw("some", LineJson(pressure.some));
  out.Raw("full", LineJson(pressure.full));
  return out.Finish();
}

std::string CountersJson(const Counters& counters) {
  GoJsonObject out;
  for (const auto& [name, value] : counters.values) out.Raw(name, std::to_string(value));
  if (counters.pressure) out.Raw("pressure", PressureJson(*counters.pressure));
  return out.Finish();
}

std::string CpuJson(const MachineCpu& cpu, bool rounded) {
  GoJsonObject out;
  auto add = [&](std::string_view name, double value) {
    out.Raw(name, FloatJson(rounded ? std::round(value * 1000) / 1000 : value));
  };
  add("user", cpu.user);
  add("nice", cpu.nice);
  add("system", cpu.system);
  add("idle", cpu.idle);
  add("iowait", cpu.iowait);
  add("irq", cpu.irq);
  add("softirq", cpu.softirq);
  add("steal", cpu.steal);
  add("guest", cpu.guest);
  add("guestNice", cpu.guest_nice);
  return out.Finish();
}

template <typename Items, typename Function>
std::string ListJson(const Items& items, Function item_json) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ",";
    out += item_json(item);
  }
  return out + "]";
}

std::string SampleJson(const UsageSample& sample) {
  GoJsonObject out;
  out.String("timestamp", FormatRfc3339Nano(sample.at));
  auto add = [&](std::string_view name, const std::optional<Counters>& counters) {
    if (counters) out.Raw(name, CountersJson(*counters));
  };
  add("cpuStat", sample.cpu);
  add("memoryStat", sample.memory);
  add("ioStat", sample.io);
  add("pidsStat", sample.pids);
  add("netStat", sample.net);
  return out.Finish();
}

std::string MachineSampleJson(const MachineSample& sample) {
  GoJsonObject out;
  out.String("timestamp", FormatRfc3339Nano(sample.at));
  out.Raw("cpuStat", CpuJson(sample.cpu, true));
  out.Raw("procStat", CountersJson(sample.processes));
  out.Raw("memoryStat", CountersJson(sample.memory));
  auto add = [&](std::string_view name, const std::optional<Pressure>& pressure) {
    if (pressure) out.Raw(name, PressureJson(*pressure));
  };
  add("cpuPressure", sample.cpu_pressure);
  add("memoryPressure", sample.memory_pressure);
  add("ioPressure", sample.io_pressure);
  return out.Finish();
}

bool ParseDouble(std::string_view text, double* value) {
  auto end = std::from_chars(text.data(), text.data() + text.size(), *value);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

// "avg10=0.12 … total=34"
PressureLine ParsePressureLine(const std::vector<std::string>& words) {
  PressureLine line;
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const std::string_view name = std::string_view(word).substr(0, equals);
    const std::string_view value = std::string_view(word).substr(equals + 1);
    if (name == "avg10") ParseDouble(value, &line.avg10);
    if (name == "avg60") ParseDouble(value, &line.avg60);
    if (name == "avg300") ParseDouble(value, &line.avg300);
    if (name == "total") ParseUint64(value, &line.total);
  }
  return line;
}

MachineCpu ParseMachineCpu(std::string_view stat) {
  MachineCpu cpu;
  const std::vector<std::string> words = Words(stat.substr(0, stat.find('\n')));
  const double hertz = static_cast<double>(sysconf(_SC_CLK_TCK));
  double* const places[] = {&cpu.user, &cpu.nice,    &cpu.system, &cpu.idle,  &cpu.iowait,
                            &cpu.irq,  &cpu.softirq, &cpu.steal,  &cpu.guest, &cpu.guest_nice};
  for (size_t i = 0; i < std::size(places) && i + 1 < words.size(); ++i) {
    uint64_t ticks = 0;
    if (ParseUint64(words[i + 1], &ticks)) *places[i] = static_cast<double>(ticks) / hertz;
  }
  return cpu;
}

// Lines "NAME VALUE …", with or without a colon.
std::map<std::string, uint64_t> ParseTable(std::string_view text) {
  std::map<std::string, uint64_t> table;
  for (std::string_view line : StrSplit(text, '\n')) {
    const std::vector<std::string> words = Words(line);
    uint64_t value = 0;
    if (words.size() < 2 || !ParseUint64(words[1], &value)) continue;
    std::string name = words[0];
    if (name.ends_with(':')) name.pop_back();
    table[name] = value;
  }
  return table;
}

using Names = std::pair<const char*, std::string_view>;  // the kernel's, ours

Counters Pick(const std::map<std::string, uint64_t>& table, std::initializer_list<Names> names,
              uint64_t factor) {
  Counters counters;
  for (const auto& [kernel, shown] : names) {
    auto found = table.find(kernel);
    if (found != table.end()) counters.values.emplace_back(shown, found->second * factor);
  }
  return counters;
}

}  // namespace

uint64_t Counters::Value(std::string_view name) const {
  for (const auto& [own, value] : values) {
    if (own == name) return value;
  }
  return 0;
}

std::string UsageJson(const StepUsage& usage) {
  GoJsonObject out;
  if (!usage.samples.empty()) out.Raw("samples", ListJson(usage.samples, SampleJson));
  if (usage.machine) out.Raw("sysCPUStat", CpuJson(*usage.machine, true));
  return out.Finish();
}

std::string MachineJson(const std::vector<MachineSample>& samples) {
  return ListJson(samples, MachineSampleJson);
}

std::optional<Pressure> ParsePressure(std::string_view text) {
  Pressure pressure;
  for (std::string_view line : StrSplit(text, '\n')) {
    const std::vector<std::string> words = Words(line);
    if (words.empty()) continue;
    if (words[0] == "some") pressure.some = ParsePressureLine(words);
    if (words[0] == "full") pressure.full = ParsePressureLine(words);
  }
  if (!pressure.some && !pressure.full) return std::nullopt;
  return pressure;
}

Counters HostTraffic(std::string_view net_dev) {
  // Columns of the file: bytes packets errs drop … of what was received, then of what was sent.
  constexpr std::pair<std::string_view, size_t> kShown[] = {
      {"rxBytes", 8}, {"rxPackets", 9}, {"rxErrors", 10}, {"rxDropped", 11},
      {"txBytes", 0}, {"txPackets", 1}, {"txErrors", 2},  {"txDropped", 3}};
  std::map<std::string_view, uint64_t> sums;
  for (std::string_view line : StrSplit(net_dev, '\n')) {
    std::string_view name, rest;
    if (!StrCut(line, ":", &name, &rest) || TrimSpace(name) == "lo") continue;
    const std::vector<std::string> columns = Words(rest);
    for (const auto& [shown, column] : kShown) {
      uint64_t value = 0;
      if (column < columns.size() && ParseUint64(columns[column], &value)) sums[shown] += value;
    }
  }
  Counters counters;
  for (const auto& [shown, column] : kShown) {
    if (sums[shown] != 0) counters.values.emplace_back(shown, sums[shown]);
  }
  return counters;
}

Counters TrafficSince(const Counters& before, const Counters& now) {
  Counters counters;
  for (const auto& [name, value] : now.values) {
    const uint64_t old = before.Value(name);
    if (value > old) counters.values.emplace_back(name, value - old);
  }
  return counters;
}

MachineCpu ReadMachineCpu() { return ParseMachineCpu(ReadFile("/proc/stat").value_or("")); }

MachineCpu operator-(const MachineCpu& a, const MachineCpu& b) {
  return {a.user - b.user,       a.nice - b.nice,   a.system - b.system, a.idle - b.idle,
          a.iowait - b.iowait,   a.irq - b.irq,     a.softirq - b.softirq, a.steal - b.steal,
          a.guest - b.guest,     a.guest_nice - b.guest_nice};
}

MachineSample ReadMachine() {
  MachineSample sample;
  sample.at = Now();
  const std::string stat = ReadFile("/proc/stat").value_or("");
  sample.cpu = ParseMachineCpu(stat);
  sample.processes = Pick(ParseTable(stat),
                          {{"ctxt", "contextSwitches"},
                           {"processes", "processCreated"},
                           {"procs_running", "processesRunning"}},
                          1);
  // Kilobytes, as the kernel says and the reference passes on.
  sample.memory = Pick(ParseTable(ReadFile("/proc/meminfo").value_or("")),
                       {{"MemTotal", "total"},
                        {"MemFree", "free"},
                        {"MemAvailable", "available"},
                        {"Buffers", "buffers"},
                        {"Cached", "cached"},
                        {"Active", "active"},
                        {"Inactive", "inactive"},
                        {"SwapTotal", "swap"},
                        {"Dirty", "dirty"},
                        {"Writeback", "writeback"},
                        {"Slab", "slab"}},
                       1);
  sample.cpu_pressure = ParsePressure(ReadFile("/proc/pressure/cpu").value_or(""));
  sample.memory_pressure = ParsePressure(ReadFile("/proc/pressure/memory").value_or(""));
  sample.io_pressure = ParsePressure(ReadFile("/proc/pressure/io").value_or(""));
  return sample;
}

}  // namespace kiln::worker::exec
