// One family after the other: help, type, samples.
#include "cmd/buildkitd/metrics_text.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

// Dashboards that were made for the reference select by this scope.
constexpr std::string_view kScope =
    "otel_scope_name=\"github.com/moby/buildkit/solver/llbsolver\",otel_scope_schema_url=\"\","
    "otel_scope_version=\"\"";

std::string Number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

std::string Family(std::string_view name, std::string_view type, std::string_view help) {
  return StrCat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

std::string Gauge(std::string_view name, std::string_view help, double value) {
  return StrCat(Family(name, "gauge", help), name, " ", Number(value), "\n");
}

std::string StatusLabel(bool ok) { return ok ? "status=\"success\"" : "status=\"failure\""; }

std::string DurationText(const control::BuildMetrics::Snapshot& builds) {
  constexpr std::string_view kName = "buildkit_build_duration_seconds";
  std::string out = Family(kName, "histogram",
                           "Wall-clock duration of builds, from their start to their end.");
  for (const auto& [ok, duration] : builds.durations) {
    std::string labels = StrCat(kScope, ",", StatusLabel(ok));
    out += StrCat(kName, "_bucket{", labels, ",le=\"+Inf\"} ", duration.count, "\n", kName, "_sum{",
                  labels, "} ", Number(duration.seconds), "\n", kName, "_count{", labels, "} ",
                  duration.count, "\n");
  }
  return out;
}

std::string StepsText(const control::ProgressLog::Counts& steps) {
  constexpr std::string_view kName = "buildkit_builds_steps_total";
  std::string out = Family(kName, "counter", "Steps of finished builds, by kind.");
  const std::pair<std::string_view, int> kinds[] = {{"cached", steps.cached},
                                                    {"completed", steps.completed},
                                                    {"total", steps.total},
                                                    {"warnings", steps.warnings}};
  for (const auto& [kind, count] : kinds) {
    out += StrCat(kName, "{kind=\"", kind, "\",", kScope, "} ", count, "\n");
  }
  return out;
}

double OpenFiles() {
  auto names = ListDir("/proc/self/fd");
  return names.ok() ? static_cast<double>(names->size()) : 0;
}

// Fields of /proc/self/stat behind the program's name, which may hold blanks.
std::vector<std::string> StatFields() {
  auto text = ReadFile("/proc/self/stat");
  if (!text.ok()) return {};
  size_t end = text->rfind(") ");
  if (end == std::string::npos) return {};
  std::vector<std::string> fields;
  for (std::string_view field : StrSplit(std::string_view(*text).substr(end + 2), ' ')) {
    fields.emplace_back(field);
  }
  return fields;
}

double BootTime() {
  auto text = ReadFile("/proc/stat");
  size_t at = text.ok() ? text->find("\nbtime ") : std::string::npos;
  return at == std::string::npos ? 0 : std::atof(text->c_str() + at + 7);
}

}  // namespace

std::string BuildMetricsText(const control::BuildMetrics::Snapshot& builds) {
  if (builds.builds.empty()) return "";
  constexpr std::string_view kName = "buildkit_builds_total";
  std::string out = StrCat(DurationText(builds), StepsText(builds.steps),
                           Family(kName, "counter", "Finished builds, by outcome."));
  for (const auto& [code, count] : builds.builds) {
    bool ok = code == StatusCode::kOk;
    std::string error = ok ? "" : StrCat("error_code=\"", StatusCodeName(code), "\",");
    out += StrCat(kName, "{", error, kScope, ",", StatusLabel(ok), "} ", count, "\n");
  }
  return out;
}

std::string ProcessMetricsText() {
  std::string out;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    out += StrCat(Family("process_cpu_seconds_total", "counter", "CPU time of the process."),
                  "process_cpu_seconds_total ",
                  Number(seconds(usage.ru_utime) + seconds(usage.ru_stime)), "\n");
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    out += Gauge("process_max_fds", "Most files that may be open.",
                 static_cast<double>(files.rlim_cur));
  }
  out += Gauge("process_open_fds", "Open files.", OpenFiles());
  // Numbered from the third field of proc(5): 19 start, 20 virtual bytes, 21 resident pages.
  std::vector<std::string> fields = StatFields();
  if (fields.size() > 21) {
    out += Gauge("process_resident_memory_bytes", "Memory in use.",
                 std::atof(fields[21].c_str()) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    out += Gauge("process_start_time_seconds", "Start of the process since the Unix epoch.",
                 BootTime() + std::atof(fields[19].c_str()) /
                                  static_cast<double>(sysconf(_SC_CLK_TCK)));
    out += Gauge("process_virtual_memory_bytes", "Address space in use.",
                 std::atof(fields[20].c_str()));
  }
  return out;
}

}  // namespace kiln::buildkitd
