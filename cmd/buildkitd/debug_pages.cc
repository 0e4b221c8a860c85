// The pages of the debug server. Paths are the reference's; what belongs to Go's
// runtime alone answers 501.
#include <malloc.h>
#include <unistd.h>

#include <array>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cmd/buildkitd/debug_server.h"
#include "cmd/buildkitd/metrics_text.h"
#include "cmd/buildkitd/thread_stacks.h"

namespace kiln::buildkitd {
namespace {

constexpr std::string_view kPprof = "/debug/pprof/";
constexpr std::string_view kHtml = "text/html; charset=utf-8";

std::vector<std::string> CommandLine() {
  auto text = ReadFile("/proc/self/cmdline");
  std::vector<std::string> words;
  if (!text.ok()) return words;
  for (std::string_view word : StrSplit(TrimSuffix(*text, std::string_view("\0", 1)), '\0')) {
    words.emplace_back(word);
  }
  return words;
}

// Go's expvar: the command line and figures of the memory in use.
std::string VarsJson() {
  std::string words;
  for (const std::string& word : CommandLine()) {
    words += StrCat(words.empty() ? "" : ",", Quote(word));
  }
  struct mallinfo2 memory = mallinfo2();
  return StrCat("{\n\"cmdline\": [", words, "],\n\"memstats\": {\"Alloc\":", memory.uordblks,
                ",\"Sys\":", memory.arena + memory.hblkhd, ",\"HeapAlloc\":", memory.uordblks,
                ",\"HeapIdle\":", memory.fordblks, "}\n}\n");
}

std::string HeapText() {
  struct mallinfo2 memory = mallinfo2();
  return StrCat("in use: ", memory.uordblks, " bytes\nfree: ", memory.fordblks,
                " bytes\nmapped: ", memory.hblkhd, " bytes\ngiven back at once: ", memory.keepcost,
                " bytes\n");
}

std::string IndexHtml() {
  return StrCat(
      "<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n/debug/pprof/\n<table>\n"
      "<thead><td>Count</td><td>Profile</td></thead>\n<tr><td>",
      ThreadCount(),
      "</td><td><a href='goroutine?debug=2'>goroutine</a>: the stacks of all threads</td></tr>\n"
      "<tr><td></td><td><a href='heap'>heap</a>: memory in use</td></tr>\n"
      "<tr><td></td><td><a href='cmdline'>cmdline</a>: the command line</td></tr>\n"
      "</table>\n</body>\n</html>\n");
}

std::string RequestsHtml(std::string_view title, const std::function<std::string()>& rows) {
  return StrCat("<html>\n<head>\n<title>", title, "</title>\n</head>\n<body>\n<h1>", title,
                "</h1>\n<table id=\"reqs\">\n", rows ? rows() : "", "</table>\n</body>\n</html>\n");
}

DebugAnswer GoOnly() { return {501, "text/plain; charset=utf-8", "not available in this daemon\n"}; }

DebugAnswer PprofPage(std::string_view page) {
  if (page.empty()) return {200, std::string(kHtml), IndexHtml()};
  if (page == "cmdline") return {.body = StrJoin(CommandLine(), std::string(1, '\0'))};
  if (page == "goroutine") return {.body = ThreadStacks()};
  if (page == "threadcreate") return {.body = StrCat("threads: ", ThreadCount(), "\n")};
  if (page == "heap" || page == "allocs") return {.body = HeapText()};
  if (page == "profile" || page == "symbol" || page == "trace" || page == "block" ||
      page == "mutex") {
    return GoOnly();
  }
  return {404, "text/plain; charset=utf-8", "Unknown profile\n"};
}

}  // namespace

DebugAnswer AnswerDebugRequest(std::string_view, std::string_view target,
                               const DebugSources& sources) {
  std::string_view path = target.substr(0, target.find('?'));
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8",
            StrCat(sources.metrics ? sources.metrics() : "", ProcessMetricsText())};
  }
  if (path == "/debug/vars") return {200, "application/json; charset=utf-8", VarsJson()};
  if (path.starts_with(kPprof)) return PprofPage(path.substr(kPprof.size()));
  if (path == "/debug/requests") {
    return {200, std::string(kHtml), RequestsHtml("/debug/requests", sources.requests)};
  }
  if (path == "/debug/events") return {200, std::string(kHtml), RequestsHtml("events", nullptr)};
  if (path == "/debug/gc") {
    malloc_trim(0);
    log::Debug("triggered GC from debug endpoint");
    return {};
  }
  if (path.starts_with("/debug/cache/") || path.starts_with("/debug/flight/")) return GoOnly();
  return {404, "text/plain; charset=utf-8", "404 page not found\n"};
}

}  // namespace kiln::buildkitd
