#include "worker/op/log_streams.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/strings.h"

namespace kiln::worker {
namespace {

constexpr size_t kTailBytes = 256 << 10;

void FromVariable(const char* name, int64_t* value) {
  const char* text = std::getenv(name);
  int64_t number = 0;
  if (text != nullptr && ParseInt64(text, &number) && number >= INT32_MIN && number <= INT32_MAX) {
    *value = number;
  }
}

}  // namespace

LogLimits LogLimits::FromEnvironment() {
  LogLimits limits;
  FromVariable("BUILDKIT_STEP_LOG_MAX_SIZE", &limits.max_size);
  FromVariable("BUILDKIT_STEP_LOG_MAX_SPEED", &limits.max_speed);
  return limits;
}

std::string BinarySize(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char buffer[32];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return StrCat(std::string_view(buffer, static_cast<size_t>(end - buffer)), kUnits[unit]);
}

LogStreams::LogStreams(solver::VertexProgress& progress, LogLimits limits, Clock::time_point now)
    : progress_(progress), limits_(limits), created_(now) {}

int64_t LogStreams::Allowed(Stream& stream, int64_t count, Clock::time_point now,
                            bool* by_speed) const {
  const int64_t before = stream.size;
  stream.size += count;
  int64_t max = -1;
  if (limits_.max_speed != -1) {
    double seconds = std::chrono::duration<double>(now - created_).count();
    max = static_cast<int64_t>(std::ceil(seconds)) * limits_.max_speed;
    *by_speed = true;
  }
  if (max == -1 || max > limits_.max_size) {
    max = limits_.max_size;
    *by_speed = false;
  }
  if (max == -1) return count;
  if (max < before) return 0;
  return stream.size > max ? max - before : count;
}

void LogStreams::Write(int number, std::string_view bytes, Clock::time_point now) {
  Stream& stream = streams_[number == 2];
  bool by_speed = false;
  const auto count = static_cast<int64_t>(bytes.size());
  const int64_t allowed = Allowed(stream, count, now, &by_speed);
  const bool cut = allowed < count;
  stream.was_clipped |= cut;
  if (stream.was_clipped) {
    stream.tail.append(bytes);
    if (stream.tail.size() > 2 * kTailBytes) {
      stream.tail.erase(0, stream.tail.size() - kTailBytes);
    }
  }
  std::string out(bytes.substr(0, static_cast<size_t>(allowed)));
  if (cut && !stream.clipping) {
    out += StrCat("\n[output clipped, log limit ",
                  by_speed ? BinarySize(limits_.max_speed) + "/s" : BinarySize(limits_.max_size),
                  " reached]\n");
  }
  stream.clipping = cut;
  if (!out.empty()) progress_.Log(number, out);
}

void LogStreams::Flush() {
  for (int number : {1, 2}) {
    Stream& stream = streams_[number == 2];
    if (stream.tail.empty()) continue;
    std::string_view tail = stream.tail;
    if (tail.size() > kTailBytes) tail.remove_prefix(tail.size() - kTailBytes);
    progress_.Log(number, tail);
    stream.tail.clear();
    stream.was_clipped = false;
  }
}

}  // namespace kiln::worker
