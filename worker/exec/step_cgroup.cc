#include "worker/exec/step_cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "base/unique_fd.h"

namespace kiln::worker::exec {
namespace {

// A v1 limit of this size or more is none: the largest multiple of a page in 63 bits.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

// How a value of the kernel's is shown, and by what it is multiplied.
struct Shown {
  std::string_view kernel, name;
  uint64_t factor = 1;
};

constexpr Shown kCpu[] = {{"usage_usec", "usageNanos", 1000},
                          {"user_usec", "userNanos", 1000},
                          {"system_usec", "systemNanos", 1000},
                          {"nr_periods", "nrPeriods"},
                          {"nr_throttled", "nrThrottled"},
                          {"throttled_usec", "throttledNanos", 1000}};
constexpr Shown kMemory[] = {{"anon", "anon"},
                             {"file", "file"},
                             {"kernel_stack", "kernelStack"},
                             {"pagetables", "pageTables"},
                             {"sock", "sock"},
                             {"shmem", "shmem"},
                             {"file_mapped", "fileMapped"},
                             {"file_dirty", "fileDirty"},
                             {"file_writeback", "fileWriteback"},
                             {"slab", "slab"},
                             {"pgscan", "pgscan"},
                             {"pgsteal", "pgsteal"},
                             {"pgfault", "pgfault"},
                             {"pgmajfault", "pgmajfault"}};
constexpr Shown kLegacyMemory[] = {{"rss", "anon"},           {"cache", "file"},
                                   {"shmem", "shmem"},        {"mapped_file", "fileMapped"},
                                   {"dirty", "fileDirty"},    {"writeback", "fileWriteback"},
                                   {"pgfault", "pgfault"},    {"pgmajfault", "pgmajfault"}};
constexpr Shown kMemoryEvents[] = {{"low", "lowEvents"},
                                   {"high", "highEvents"},
                                   {"max", "maxEvents"},
                                   {"oom", "oomEvents"},
                                   {"oom_kill", "oomKillEvents"}};
constexpr Shown kIo[] = {{"rbytes", "readBytes"},    {"wbytes", "writeBytes"},
                         {"dbytes", "discardBytes"}, {"rios", "readIOs"},
                         {"wios", "writeIOs"},       {"dios", "discardIOs"}};

// A file that the kernel makes up when it is read. Such a file comes in one piece, so a
// short one is all of it, without a second read that says so. "" if it cannot be read.
std::string KernelText(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[8192];
  for (ssize_t count = fd.valid() ? 1 : 0; count > 0;) {
    count = ::read(fd.get(), buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<size_t>(count));
    if (count < static_cast<ssize_t>(sizeof buffer) / 2) break;
  }
  return text;
}

using Table = std::map<std::string, uint64_t, std::less<>>;

// Lines "NAME VALUE".
Table ReadTable(const std::string& path) {
  Table table;
  const std::string text = KernelText(path);
  for (std::string_view line : StrSplit(text, '\n')) {
    size_t space = line.find(' ');
    uint64_t value = 0;
    if (space == std::string_view::npos) continue;
    if (ParseUint64(line.substr(space + 1), &value)) table[std::string(line.substr(0, space))] = value;
  }
  return table;
}

std::optional<uint64_t> ReadValue(const std::string& path) {
  uint64_t value = 0;
  const std::string text = KernelText(path);
  return ParseUint64(TrimSpace(text), &value) ? std::optional(value) : std::nullopt;
}

template <size_t kCount>
void Show(const Table& table, const Shown (&names)[kCount], bool zeros, Counters* out) {
  for (const Shown& shown : names) {
    auto found = table.find(shown.kernel);
    if (found == table.end() || (found->second == 0 && !zeros)) continue;
    out->values.emplace_back(shown.name, found->second * shown.factor);
  }
}

void ShowValue(std::string_view name, std::optional<uint64_t> value, Counters* out) {
  if (value) out->values.emplace_back(name, *value);
}

// Lines "MAJOR:MINOR NAME=VALUE …": sums over devices.
Table SumDevices(std::string_view text) {
  Table sums;
  for (std::string_view line : StrSplit(text, '\n')) {
    for (std::string_view word : StrSplit(line, ' ')) {
      size_t equals = word.find('=');
      uint64_t value = 0;
      if (equals == std::string_view::npos) continue;
      if (ParseUint64(word.substr(equals + 1), &value)) sums[std::string(word.substr(0, equals))] += value;
    }
  }
  return sums;
}

// Lines "MAJOR:MINOR Read VALUE": sums over devices, under other names.
void SumLegacyDevices(const std::string& path, std::string_view read, std::string_view write,
                      Table* sums) {
  const std::string text = KernelText(path);
  for (std::string_view line : StrSplit(text, '\n')) {
    const std::vector<std::string_view> words = StrSplit(line, ' ');
    uint64_t value = 0;
    if (words.size() != 3 || !ParseUint64(words[2], &value)) continue;
    if (words[1] == "Read") (*sums)[std::string(read)] += value;
    if (words[1] == "Write") (*sums)[std::string(write)] += value;
  }
}

std::optional<Pressure> ReadPressure(const std::string& path) {
  return ParsePressure(KernelText(path));
}

// "64 MiB", "0.5 MiB"
std::string Mebibytes(uint64_t bytes) {
  const uint64_t tenths = (bytes * 10) >> 20;
  return StrCat(tenths / 10, tenths % 10 == 0 ? "" : StrCat(".", tenths % 10), " MiB");
}

bool RemoveFolders(const std::string& folder) {
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return true;
  for (const std::string& name : ListDir(folder).value_or({})) {
    const std::string below = JoinPath(folder, name);
    struct stat st{};
    if (::lstat(below.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) RemoveFolders(below);
  }
  return ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
}

}  // namespace

CgroupMounts FindCgroupMounts(std::string_view mountinfo) {
  CgroupMounts mounts;
  for (std::string_view line : StrSplit(mountinfo, '\n')) {
    const std::vector<std::string_view> halves = StrSplit(line, std::string_view(" - "));
    if (halves.size() != 2) continue;
    const std::vector<std::string_view> mount = StrSplit(halves[0], ' ');
    const std::vector<std::string_view> kind = StrSplit(halves[1], ' ');
    if (mount.size() < 5 || kind.size() < 3) continue;
    if (kind[0] == "cgroup2") mounts.unified = std::string(mount[4]);
    if (kind[0] != "cgroup") continue;
    for (std::string_view option : StrSplit(kind[2], ',')) {
      mounts.legacy.try_emplace(std::string(option), mount[4]);
    }
  }
  if (mounts.legacy.contains("memory") || mounts.legacy.contains("cpu")) {
    mounts.beside = std::exchange(mounts.unified, "");
  }
  return mounts;
}

std::string OomText(const OomKill& kill) {
  std::string text = "cannot allocate memory";
  if (kill.limit == 0 && kill.peak == 0) return text;
  text += " (";
  if (kill.limit != 0) text += StrCat("memory limit ", Mebibytes(kill.limit));
  if (kill.limit != 0 && kill.peak != 0) text += ", ";
  if (kill.peak != 0) text += StrCat("peak ", Mebibytes(kill.peak));
  return text + ")";
}

std::string StepCgroup::File(std::string_view controller, std::string_view name) const {
  if (!mounts_.unified.empty()) return StrCat(mounts_.unified, path_, "/", name);
  auto found = mounts_.legacy.find(std::string(controller));
  return found == mounts_.legacy.end() ? "" : StrCat(found->second, path_, "/", name);
}

StatusOr<UsageSample> StepCgroup::Read() const {
  return mounts_.unified.empty() ? ReadLegacy() : ReadUnified();
}

StatusOr<UsageSample> StepCgroup::ReadUnified() const {
  const std::string folder = mounts_.unified + path_ + "/";
  if (!PathExists(folder)) return NotFoundError(StrCat(folder, " is not there"));
  UsageSample sample;
  sample.at = Now();
  if (Table cpu = ReadTable(folder + "cpu.stat"); !cpu.empty()) {
    Show(cpu, kCpu, true, &sample.cpu.emplace());
    sample.cpu->pressure = ReadPressure(folder + "cpu.pressure");
  }
  if (Table memory = ReadTable(folder + "memory.stat"); !memory.empty()) {
    Counters& counters = sample.memory.emplace();
    ShowValue("swapBytes", ReadValue(folder + "memory.swap.current"), &counters);
    Show(memory, kMemory, true, &counters);
    ShowValue("peak", ReadValue(folder + "memory.peak"), &counters);
    Show(ReadTable(folder + "memory.events"), kMemoryEvents, false, &counters);
    counters.pressure = ReadPressure(folder + "memory.pressure");
  }
  if (StatusOr<std::string> io = ReadFile(folder + "io.stat"); io.ok()) {
    Show(SumDevices(*io), kIo, true, &sample.io.emplace());
    sample.io->pressure = ReadPressure(folder + "io.pressure");
  }
  ShowValue("current", ReadValue(folder + "pids.current"), &sample.pids.emplace());
  return sample;
}

StatusOr<UsageSample> StepCgroup::ReadLegacy() const {
  UsageSample sample;
  sample.at = Now();
  if (auto nanos = ReadValue(File("cpuacct", "cpuacct.usage"))) {
    Counters& counters = sample.cpu.emplace();
    ShowValue("usageNanos", nanos, &counters);
    ShowValue("userNanos", ReadValue(File("cpuacct", "cpuacct.usage_user")), &counters);
    ShowValue("systemNanos", ReadValue(File("cpuacct", "cpuacct.usage_sys")), &counters);
    const Table throttled = ReadTable(File("cpu", "cpu.stat"));
    constexpr Shown kThrottled[] = {{"nr_periods", "nrPeriods"},
                                    {"nr_throttled", "nrThrottled"},
                                    {"throttled_time", "throttledNanos"}};
    Show(throttled, kThrottled, true, &counters);
  }
  if (Table memory = ReadTable(File("memory", "memory.stat")); !memory.empty()) {
    Counters& counters = sample.memory.emplace();
    Show(memory, kLegacyMemory, true, &counters);
    ShowValue("peak", ReadValue(File("memory", "memory.max_usage_in_bytes")), &counters);
    Show(ReadTable(File("memory", "memory.oom_control")), kMemoryEvents, false, &counters);
  }
  Table io;
  SumLegacyDevices(File("blkio", "blkio.throttle.io_service_bytes"), "rbytes", "wbytes", &io);
  SumLegacyDevices(File("blkio", "blkio.throttle.io_serviced"), "rios", "wios", &io);
  if (!io.empty()) Show(io, kIo, true, &sample.io.emplace());
  if (auto current = ReadValue(File("pids", "pids.current"))) {
    ShowValue("current", current, &sample.pids.emplace());
  }
  if (!sample.cpu && !sample.memory && !sample.pids) return NotFoundError(path_ + " is not there");
  return sample;
}

uint64_t StepCgroup::LimitAbove(const std::string& mount, std::string_view file) const {
  uint64_t lowest = 0;
  for (std::string folder = path_; folder.size() > 1; folder = DirName(folder)) {
    auto limit = ReadValue(StrCat(mount, folder, "/", file));
    if (limit && *limit < kNoLimit && (lowest == 0 || *limit < lowest)) lowest = *limit;
  }
  return lowest;
}

std::optional<OomKill> StepCgroup::Oom() const {
  const bool unified = !mounts_.unified.empty();
  const Table events = ReadTable(File("memory", unified ? "memory.events" : "memory.oom_control"));
  auto kills = events.find("oom_kill");
  if (kills == events.end() || kills->second == 0) return std::nullopt;
  OomKill kill;
  kill.peak = ReadValue(File("memory", unified ? "memory.peak" : "memory.max_usage_in_bytes"))
                  .value_or(0);
  kill.limit = unified ? LimitAbove(mounts_.unified, "memory.max")
                       : LimitAbove(mounts_.legacy.at("memory"), "memory.limit_in_bytes");
  return kill;
}

bool StepCgroup::Remove() const {
  std::set<std::string> folders;  // controllers may share a hierarchy
  if (!mounts_.unified.empty()) folders.insert(mounts_.unified + path_);
  if (!mounts_.beside.empty()) folders.insert(mounts_.beside + path_);
  for (const auto& [controller, mount] : mounts_.legacy) folders.insert(mount + path_);
  // The kernel lets go of a process's cgroup a moment after its end is told.
  constexpr int kTries = 8;
  for (int attempt = 0;; ++attempt) {
    std::erase_if(folders, [](const std::string& folder) { return RemoveFolders(folder); });
    if (folders.empty() || attempt == kTries) return folders.empty();
    std::this_thread::sleep_for(std::chrono::milliseconds(1 << std::min(attempt, 5)));
  }
}

}  // namespace kiln::worker::exec
