// See cache_metrics.h.
#include "cmd/buildctl/cache_metrics.h"

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::buildctl {
namespace {

bool IsOurOwn(const std::string& name) {
  for (const char* prefix : {"[internal]", "[auth]", "importing cache", "exporting "}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace

void CacheMetrics::Add(const api::SolveStatus& status) {
  for (const api::VertexState& vertex : status.vertexes) {
    Step& step = steps_[vertex.digest];
    if (step.name.empty()) step.name = vertex.name;
    step.from = step.from || (vertex.name.starts_with("[") && Contains(vertex.name, "] FROM"));
    step.cached = step.cached || vertex.cached;
    step.completed = step.completed || vertex.completed.set();
  }
}

std::string CacheMetrics::Report() const {
  int64_t completed = 0, user_total = 0, user_cached = 0, user_completed = 0, from = 0, miss = 0;
  std::string out;
  for (const auto& [digest, step] : steps_) {
    if (step.completed) ++completed;
    if (IsOurOwn(step.name)) continue;
    ++user_total;
    if (step.cached) {
      ++user_cached;
    } else if (!step.from) {
      ++miss;
      out += StrCat("cache miss: ", step.name, "\n");
    }
    if (step.completed) ++user_completed;
    if (step.from) ++from;
  }
  GoJsonObject json;
  json.Int("total", static_cast<int64_t>(steps_.size()));
  json.Int("completed", completed);
  json.Int("user_total", user_total);
  json.Int("user_cached", user_cached);
  json.Int("user_completed", user_completed);
  json.Int("user_cacheable", user_total - from);
  json.Int("from", from);
  json.Int("miss", miss);
  auto elapsed = std::chrono::steady_clock::now() - start_;
  json.Int("client_duration_ms",
           std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
  return StrCat(out, json.Finish(), "\n");
}

}  // namespace kiln::buildctl
