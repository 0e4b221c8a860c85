// buildctl du and prune.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "api/client/display/display.h"
#include "api/proto/control.pb.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/common.h"
#include "cmd/buildctl/go_template.h"
#include "cmd/buildctl/table.h"

namespace kiln::buildctl {
namespace {

namespace control = ::moby::buildkit::v1;
using Json = nlohmann::ordered_json;

constexpr const char* kUsageType = "*client.UsageInfo";

Time TimeOf(const google::protobuf::Timestamp& stamp) {
  return Time{stamp.seconds() * 1'000'000'000 + stamp.nanos()};
}

Json UsageJson(const control::UsageRecord& record) {
  Json parents;
  for (const std::string& parent : record.parents()) parents.push_back(parent);
  Json last;
  if (record.has_lastusedat()) last = FormatRfc3339Nano(TimeOf(record.lastusedat()));
  return {{"id", record.id()},
          {"mutable", record.mutable_()},
          {"inUse", record.inuse()},
          {"size", record.size()},
          {"createdAt", FormatRfc3339Nano(TimeOf(record.createdat()))},
          {"lastUsedAt", last},
          {"usageCount", record.usagecount()},
          {"parents", parents},
          {"description", record.description()},
          {"recordType", record.recordtype()},
          {"shared", record.shared()}};
}

// As Go prints a time: "2006-01-02 15:04:05.123 +0000 UTC".
std::string GoTime(Time time) {
  std::string text = FormatRfc3339Nano(time);
  text = ReplaceAll(text, "T", " ");
  return ReplaceAll(text, "Z", " +0000 UTC");
}

const char* Word(bool value) { return value ? "true" : "false"; }

std::string VerboseBlock(const control::UsageRecord& record) {
  std::string out = StrCat("ID:\t", record.id(), "\n");
  if (!record.parents().empty()) out += StrCat("Parents:\t", StrJoin(record.parents(), ";"), "\n");
  out += StrCat("Created at:\t", GoTime(TimeOf(record.createdat())), "\nMutable:\t",
                Word(record.mutable_()), "\nReclaimable:\t", Word(!record.inuse()), "\nShared:\t",
                Word(record.shared()), "\nSize:\t", api::FormatBytes(record.size()), "\n");
  if (!record.description().empty()) out += StrCat("Description:\t", record.description(), "\n");
  out += StrCat("Usage count:\t", record.usagecount(), "\n");
  if (record.has_lastusedat()) {
    out += StrCat("Last used:\t", GoTime(TimeOf(record.lastusedat())), "\n");
  }
  if (!record.recordtype().empty()) out += StrCat("Type:\t", record.recordtype(), "\n");
  return out + "\n";
}

constexpr const char* kHeader = "ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\n";

std::string Row(const control::UsageRecord& record) {
  std::string id = record.id() + (record.mutable_() ? "*" : "");
  if (id.size() < 71) id.append(71 - id.size(), ' ');
  std::string free = Word(!record.inuse());
  free.append(11 - free.size(), ' ');
  return StrCat(id, "\t", free, "\t", api::FormatBytes(record.size()), record.shared() ? "*" : "",
                "\t\n");
}

std::string Summary(const std::vector<control::UsageRecord>& records) {
  int64_t total = 0;
  int64_t reclaimable = 0;
  int64_t shared = 0;
  for (const control::UsageRecord& record : records) {
    if (record.size() > 0) {
      total += record.size();
      if (!record.inuse()) reclaimable += record.size();
    }
    if (record.shared()) shared += record.size();
  }
  std::string out;
  if (shared > 0) {
    out += StrCat("Shared:\t", api::FormatBytes(shared), "\nPrivate:\t",
                  api::FormatBytes(total - shared), "\n");
  }
  return StrCat(out, "Reclaimable:\t", api::FormatBytes(reclaimable), "\nTotal:\t",
                api::FormatBytes(total), "\n");
}

void Show(std::string_view lines) {
  Table table;
  table.Add(lines);
  std::fputs(table.Flush().c_str(), stdout);
}

Status RunDiskUsage(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  control::DiskUsageRequest request;
  for (const std::string& filter : call.List("filter")) request.add_filter(filter);
  control::DiskUsageResponse response;
  RETURN_IF_ERROR(client->DiskUsage(request, &response));
  std::vector<control::UsageRecord> records(response.record().begin(), response.record().end());
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() < b.size() : a.id() < b.id();
  });
  if (std::string format = call.Text("format"); !format.empty()) {
    ASSIGN_OR_RETURN(GoTemplate output, GoTemplate::Parse(format));
    Json list;
    for (const auto& record : records) list.push_back(UsageJson(record));
    ASSIGN_OR_RETURN(std::string text, output.Render(list, kUsageType));
    std::printf("%s\n", text.c_str());
    return OkStatus();
  }
  std::string lines = call.Bool("verbose") ? "" : kHeader;
  for (const auto& record : records) {
    lines += call.Bool("verbose") ? VerboseBlock(record) : Row(record);
  }
  if (!lines.empty()) Show(lines);
  if (call.List("filter").empty()) Show(Summary(records));
  return OkStatus();
}

control::PruneRequest PruneMessage(const Invocation& call) {
  control::PruneRequest request;
  for (const std::string& filter : call.List("filter")) request.add_filter(filter);
  request.set_all(call.Bool("all"));
  request.set_keepduration(call.Nanos("keep-duration"));
  request.set_reservedspace(static_cast<int64_t>(call.Float("keep-storage-min") * 1e6));
  request.set_maxusedspace(static_cast<int64_t>(call.Float("keep-storage") * 1e6));
  request.set_minfreespace(static_cast<int64_t>(call.Float("free-storage") * 1e6));
  return request;
}

Status RunPrune(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  control::PruneRequest request = PruneMessage(call);
  if (std::string format = call.Text("format"); !format.empty()) {
    ASSIGN_OR_RETURN(GoTemplate output, GoTemplate::Parse(format));
    Status failed;
    RETURN_IF_ERROR(client->Prune(request, [&](const control::UsageRecord& record) {
      control::UsageRecord plain = record;
      StatusOr<std::string> text = output.Render(UsageJson(plain), "client.UsageInfo");
      if (!text.ok()) failed = text.status();
      if (text.ok()) std::printf("%s\n", text->c_str());
    }));
    return failed;
  }
  int64_t total = 0;
  bool first = true;
  RETURN_IF_ERROR(client->Prune(request, [&](const control::UsageRecord& record) {
    total += record.size();
    if (call.Bool("verbose")) {
      Show(VerboseBlock(record));
    } else {
      Show(StrCat(first ? kHeader : "", Row(record)));
    }
    first = false;
  }));
  Show(StrCat("Total:\t", api::FormatBytes(total), "\n"));
  return OkStatus();
}

const Flag kFilter = {"filter", Kind::kList, "only records that match", {}, "f"};
const Flag kVerbose = {"verbose", Kind::kBool, "all details", {}, "v"};
const Flag kFormat = {"format", Kind::kText, "Go template for the output, e.g. '{{json .}}'"};

}  // namespace

Command DiskUsageCommand() {
  Command command{.name = "du", .usage = "disk usage"};
  command.flags = {kFilter, kVerbose, kFormat};
  command.run = RunDiskUsage;
  return command;
}

Command PruneCommand() {
  Command command{.name = "prune", .usage = "clean up build cache"};
  command.flags = {
      {"keep-duration", Kind::kDuration, "keep what was used in this time", "0s"},
      {"keep-storage", Kind::kFloat, "keep so much at most (MB)", "0"},
      {"keep-storage-min", Kind::kFloat, "keep so much in any case (MB)", "0"},
      {"free-storage", Kind::kFloat, "prune until so much is free (MB)", "0"},
      kFilter,
      {"all", Kind::kBool, "include internal and frontend references"},
      kVerbose,
      kFormat,
  };
  command.run = RunPrune;
  return command;
}

}  // namespace kiln::buildctl
