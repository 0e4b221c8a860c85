// buildctl prune-histories, and debug histories, ctl, logs, monitor, get.
#include <google/protobuf/text_format.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "api/proto/control.pb.h"
#include "base/file.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/common.h"
#include "cmd/buildctl/go_template.h"
#include "cmd/buildctl/interrupt.h"
#include "cmd/buildctl/message_json.h"
#include "cmd/buildctl/progress_feed.h"
#include "cmd/buildctl/table.h"

namespace kiln::buildctl {
namespace {

namespace control = ::moby::buildkit::v1;

// RFC 3339 in local time; empty if unset.
std::string LocalTime(bool set, const google::protobuf::Timestamp& stamp) {
  if (!set) return "";
  time_t seconds = stamp.seconds();
  tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[40];
  if (parts.tm_gmtoff == 0) {
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
  }
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &parts);
  std::string out = text;
  return out.insert(out.size() - 2, ":");
}

std::string EventRow(const control::BuildHistoryEvent& event, bool pinned_column) {
  const control::BuildHistoryRecord& record = event.record();
  std::string row = StrCat(control::BuildHistoryEventType_Name(event.type()), "\t", record.ref(),
                           "\t", LocalTime(record.has_createdat(), record.createdat()), "\t",
                           LocalTime(record.has_completedat(), record.completedat()), "\t",
                           record.generation());
  if (pinned_column) row += StrCat("\t", record.pinned() ? "*" : "");
  return row + "\n";
}

// The lines of all events, or each through the template.
Status ListEvents(const Invocation& call, api::Client& client, std::string_view header,
                  bool pinned_column,
                  const std::function<StatusOr<bool>(const control::BuildHistoryEvent&)>& keep) {
  control::BuildHistoryRequest request;
  request.set_earlyexit(true);
  std::string format = call.Text("format");
  StatusOr<GoTemplate> output = GoTemplate::Parse(format);
  if (!format.empty() && !output.ok()) return output.status();
  Table table;
  if (format.empty()) table.Add(header);
  RETURN_IF_ERROR(client.ListenBuildHistory(
      request, [&](const control::BuildHistoryEvent& event) -> Status {
        ASSIGN_OR_RETURN(bool shown, keep(event));
        if (!shown) return OkStatus();
        if (format.empty()) {
          table.Add(EventRow(event, pinned_column));
          return OkStatus();
        }
        ASSIGN_OR_RETURN(std::string text, output->Render(MessageJson(event), ""));
        std::printf("%s\n", text.c_str());
        return OkStatus();
      }));
  std::fputs(table.Flush().c_str(), stdout);
  return OkStatus();
}

Status RunPruneHistories(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  std::string failures;
  RETURN_IF_ERROR(ListEvents(
      call, *client, "TYPE\tREF\tCREATED\tCOMPLETED\tGENERATION\n", false,
      [&](const control::BuildHistoryEvent& event) -> StatusOr<bool> {
        if (!event.has_record() || event.record().pinned()) return false;
        control::UpdateBuildHistoryRequest request;
        request.set_ref(event.record().ref());
        request.set_delete_(true);
        Status status = client->UpdateBuildHistory(request);
        if (!status.ok()) failures += (failures.empty() ? "" : "\n") + status.message();
        return status.ok();
      }));
  return failures.empty() ? OkStatus() : UnknownError(failures);
}

Status RunHistories(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  return ListEvents(call, *client, "TYPE\tREF\tCREATED\tCOMPLETED\tGENERATION\tPINNED\n", true,
                    [](const control::BuildHistoryEvent&) -> StatusOr<bool> { return true; });
}

Status RunCtl(const Invocation& call) {
  if (call.args().empty()) return UnknownError("build ref must be specified");
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  bool pin = call.Bool("pin");
  bool unpin = call.Bool("unpin");
  bool remove = call.Bool("delete");
  if (!pin && !unpin && !remove) {
    return UnknownError("must specify one of --pin, --unpin, --delete");
  }
  if (pin && unpin) return UnknownError("cannot specify both --pin and --unpin");
  if (remove && (pin || unpin)) {
    return UnknownError("cannot specify --delete with --pin or --unpin");
  }
  control::UpdateBuildHistoryRequest request;
  request.set_ref(call.args().front());
  request.set_pinned(pin);
  request.set_delete_(remove);
  return client->UpdateBuildHistory(request);
}

Status ToStdout(std::string_view bytes) { return WriteAll(STDOUT_FILENO, bytes); }

Status PrintTrace(api::Client& client, const std::string& ref) {
  control::BuildHistoryRequest request;
  request.set_ref(ref);
  std::string digest;
  bool found = false;
  Status done = CancelledError("done");
  Status status = client.ListenBuildHistory(request, [&](const control::BuildHistoryEvent& event) {
    found = true;
    digest = event.record().trace().digest();
    return done;
  });
  if (!found) return status.ok() ? UnknownError(StrCat("ref ", ref, " not found")) : status;
  if (digest.empty()) return UnknownError(StrCat("ref ", ref, " does not have trace"));
  ASSIGN_OR_RETURN(Digest parsed, Digest::Parse(digest));
  return client.ReadContent(parsed, ToStdout);
}

Status RunLogs(const Invocation& call) {
  if (call.args().empty()) return UnknownError("build ref must be specified");
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  if (call.Bool("trace")) return PrintTrace(*client, call.args().front());
  ASSIGN_OR_RETURN(std::unique_ptr<ProgressFeed> feed,
                   ProgressFeed::Start(call.Text("progress"), STDOUT_FILENO));
  Status status = client->WatchStatus(
      call.args().front(), [&](api::SolveStatus message) { feed->Add(std::move(message)); });
  feed->Finish();
  return status;
}

// One message on one line, as Go prints it.
std::string OneLine(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  printer.PrintToString(message, &text);
  text = ReplaceAll(text, ": ", ":");
  text = ReplaceAll(text, " {", ":{");
  text = ReplaceAll(ReplaceAll(text, "{ ", "{"), " }", "}");
  return std::string(TrimSpace(text));
}

void PrintResult(const control::BuildResultInfo& result, const std::string& prefix) {
  for (const auto& [index, descriptor] : result.results()) {
    std::printf("  %sdescriptor: %s\n", prefix.c_str(), OneLine(descriptor).c_str());
  }
  if (result.results().empty() && result.has_resultdeprecated()) {
    std::printf("  %sdescriptor: %s\n", prefix.c_str(),
                OneLine(result.resultdeprecated()).c_str());
  }
  for (const auto& attestation : result.attestations()) {
    std::printf("  %sattestation: %s\n", prefix.c_str(), OneLine(attestation).c_str());
  }
}

void PrintEvent(const control::BuildHistoryEvent& event) {
  const control::BuildHistoryRecord& record = event.record();
  std::printf("event: %s ref:%s\n", control::BuildHistoryEventType_Name(event.type()).c_str(),
              record.ref().c_str());
  if (record.numtotalsteps() != 0) {
    std::printf("  cache: %d/%d\n", record.numcachedsteps(), record.numtotalsteps());
  }
  if (record.numwarnings() != 0) std::printf("  warnings: %d\n", record.numwarnings());
  if (record.has_logs()) std::printf("  logs: %s\n", OneLine(record.logs()).c_str());
  if (record.has_trace()) std::printf("  trace: %s\n", OneLine(record.trace()).c_str());
  if (record.has_result()) PrintResult(record.result(), "");
  for (const auto& [key, result] : record.results()) PrintResult(result, StrCat("[", key, "] "));
  std::fflush(stdout);
}

Status RunMonitor(const Invocation& call) {
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  control::BuildHistoryRequest request;
  request.set_activeonly(!call.Bool("completed"));
  request.set_ref(call.Text("ref"));
  auto print = [](const control::BuildHistoryEvent& event) {
    PrintEvent(event);
    return OkStatus();
  };
  Interrupt interrupt;
  RETURN_IF_ERROR(client->ListenBuildHistory(request, print, interrupt.token()));
  return UnknownError("EOF");
}

Status RunGet(const Invocation& call) {
  if (call.args().empty()) return UnknownError("blob digest must be specified");
  ASSIGN_OR_RETURN(Digest digest, Digest::Parse(call.args().front()));
  ASSIGN_OR_RETURN(std::unique_ptr<api::Client> client, Connect(call));
  return client->ReadContent(digest, ToStdout);
}

const Flag kFormat = {"format", Kind::kText, "Go template for the output, e.g. '{{json .}}'"};

Command Make(const char* name, const char* usage, std::vector<Flag> flags,
             Status (*run)(const Invocation&)) {
  Command command{.name = name, .usage = usage};
  command.flags = std::move(flags);
  command.run = run;
  return command;
}

}  // namespace

Command PruneHistoriesCommand() {
  return Make("prune-histories", "clean up build histories", {kFormat}, RunPruneHistories);
}
Command HistoriesCommand() {
  return Make("histories", "list build records", {kFormat}, RunHistories);
}
Command CtlCommand() {
  return Make("ctl", "control build records",
              {{"pin", Kind::kBool, "keep the record from being collected"},
               {"unpin", Kind::kBool, "let the record be collected again"},
               {"delete", Kind::kBool, "delete the record"}},
              RunCtl);
}
Command LogsCommand() {
  return Make("logs", "display build logs",
              {{"progress", Kind::kText, "kind of output", "auto"},
               {"trace", Kind::kBool, "show the trace of the build"}},
              RunLogs);
}
Command MonitorCommand() {
  return Make("monitor", "display build events",
              {{"completed", Kind::kBool, "show builds that are over as well"},
               {"ref", Kind::kText, "show one build only"}},
              RunMonitor);
}
Command GetCommand() {
  return Make("get", "retrieve a blob from contentstore", {}, RunGet);
}

}  // namespace kiln::buildctl
