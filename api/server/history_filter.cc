// Conditions on times are ours; the rest is containerd's filter language.
#include "api/server/history_filter.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "api/proto/control.pb.h"
#include "base/csv.h"
#include "base/filter.h"
#include "base/strings.h"
#include "base/units.h"
#include "llb/git_ref.h"

namespace kiln::api {
namespace {

namespace wire = moby::buildkit::v1;

using Condition = std::function<bool(const wire::BuildHistoryRecord&)>;

constexpr int64_t kSecond = 1'000'000'000;

struct Comparison {
  std::string_view key, sign, value;
};

Comparison Split(std::string_view text) {
  for (std::string_view sign : {">=", "<=", ">", "<"}) {
    Comparison parts{{}, sign, {}};
    if (StrCut(text, sign, &parts.key, &parts.value)) return parts;
  }
  return {};
}

bool Holds(int64_t value, std::string_view sign, int64_t limit) {
  if (sign == ">=") return value >= limit;
  if (sign == "<=") return value <= limit;
  return sign == ">" ? value > limit : value < limit;
}

int64_t NanosOf(const google::protobuf::Timestamp& time) {
  return time.seconds() * kSecond + time.nanos();
}

// Null if it is no condition on a time.
StatusOr<Condition> TimeCondition(const std::string& text) {
  Comparison parts = Split(text);
  std::string key(parts.key), sign(parts.sign);
  bool duration = key == "duration";
  if (!duration && key != "startedAt" && key != "completedAt") return Condition();
  int64_t limit = 0;
  StatusOr<int64_t> length = ParseDuration(parts.value);
  if (duration) {
    if (!length.ok()) return UnknownError(StrCat("invalid duration ", parts.value));
    limit = *length;
  } else if (length.ok()) {
    limit = (Now().nanos - *length) / kSecond;
  } else {
    StatusOr<Time> time = ParseRfc3339(parts.value);
    if (!time.ok()) return UnknownError(StrCat("invalid time ", parts.value));
    limit = time->nanos / kSecond;
  }
  return Condition([=](const wire::BuildHistoryRecord& record) {
    int64_t value = 0;
    bool done = record.has_completedat();
    if (key == "startedAt") value = record.createdat().seconds();
    if (key == "completedAt" && done) value = record.completedat().seconds();
    if (duration && done) value = NanosOf(record.completedat()) - NanosOf(record.createdat());
    return Holds(value, sign, limit);
  });
}

std::string StatusOfRecord(const wire::BuildHistoryRecord& record) {
  if (!record.has_completedat()) return "running";
  if (!record.has_error()) return "completed";
  return Contains(record.error().message(), "context canceled") ? "canceled" : "error";
}

std::optional<std::string> FieldOf(const wire::BuildHistoryRecord& record,
                                   std::span<const std::string> path) {
  if (path.empty()) return std::nullopt;
  if (path[0] == "ref" && !record.ref().empty()) return record.ref();
  if (path[0] == "status") return StatusOfRecord(record);
  if (path[0] != "repository") return std::nullopt;
  const auto& attrs = record.frontendattrs();
  if (auto source = attrs.find("vcs:source"); source != attrs.end()) return source->second;
  if (auto context = attrs.find("context"); context != attrs.end()) {
    StatusOr<llb::GitUrl> url = llb::ParseGitUrl(context->second);
    if (url.ok()) return url->remote;
  }
  return std::nullopt;
}

StatusOr<std::vector<Condition>> ParseFilter(const std::string& text) {
  ASSIGN_OR_RETURN(std::vector<std::string> fields, CsvFields(text));
  std::vector<Condition> conditions;
  std::vector<std::string> rest;
  for (const std::string& field : fields) {
    ASSIGN_OR_RETURN(Condition condition, TimeCondition(field));
    if (condition) {
      conditions.push_back(std::move(condition));
    } else {
      rest.push_back(field);
    }
  }
  StatusOr<Filter> filter = Filter::ParseAll({StrJoin(rest, ",")});
  if (!filter.ok()) {
    return Annotate(filter.status(), StrCat("failed to parse history filters ", text));
  }
  conditions.push_back([filter = *filter](const wire::BuildHistoryRecord& record) {
    return filter.Match([&](std::span<const std::string> path) { return FieldOf(record, path); });
  });
  return conditions;
}

bool Matches(const std::vector<std::vector<Condition>>& filters,
             const wire::BuildHistoryRecord& record) {
  if (filters.empty()) return true;
  return std::any_of(filters.begin(), filters.end(), [&](const auto& conditions) {
    return std::all_of(conditions.begin(), conditions.end(),
                       [&](const Condition& condition) { return condition(record); });
  });
}

}  // namespace

StatusOr<std::vector<control::HistoryEvent>> SelectHistory(
    const std::vector<std::string>& filters, int limit, std::vector<control::HistoryEvent> events) {
  std::vector<std::vector<Condition>> parsed;
  for (const std::string& filter : filters) {
    ASSIGN_OR_RETURN(auto conditions, ParseFilter(filter));
    parsed.push_back(std::move(conditions));
  }
  std::erase_if(events, [&](const control::HistoryEvent& event) {
    wire::BuildHistoryRecord record;
    record.ParseFromString(event.record.body);
    return !Matches(parsed, record);
  });
  if (limit == 0) return events;
  if (limit < 0) return UnknownError(StrCat("invalid limit ", limit));
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
    return a.record.created > b.record.created;
  });
  if (events.size() > static_cast<size_t>(limit)) events.resize(static_cast<size_t>(limit));
  return events;
}

}  // namespace kiln::api
