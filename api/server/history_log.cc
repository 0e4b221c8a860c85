// See history_log.h. Lengths are four bytes, lowest first.
#include "api/server/history_log.h"

#include <unordered_map>
#include <variant>

#include "api/proto/control.pb.h"
#include "api/server/progress_codec.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace wire = moby::buildkit::v1;

constexpr uint64_t kMaxLog = uint64_t{1} << 31;

// A record has the last state of each line, and as in the reference's records a line
// is known by its id alone: of two steps that transfer a context the later one has it.
void KeepLastLines(std::vector<solver::ProgressEvent>* events) {
  std::unordered_map<std::string, size_t> last;
  for (size_t i = 0; i < events->size(); ++i) {
    auto* line = std::get_if<solver::StatusEvent>(&(*events)[i]);
    if (line != nullptr) last[line->id] = i;
  }
  size_t index = 0;
  std::erase_if(*events, [&](const solver::ProgressEvent& event) {
    auto* line = std::get_if<solver::StatusEvent>(&event);
    size_t mine = index++;
    return line != nullptr && last[line->id] != mine;
  });
}

}  // namespace

std::string EncodeHistoryLog(std::vector<solver::ProgressEvent> events) {
  std::string log;
  if (events.empty()) return log;
  KeepLastLines(&events);
  for (const wire::StatusResponse& message : ToStatusResponses(std::move(events))) {
    auto size = static_cast<uint32_t>(message.ByteSizeLong());
    for (int shift = 0; shift < 32; shift += 8) log += static_cast<char>(size >> shift & 0xff);
    message.AppendToString(&log);
  }
  return log;
}

StatusOr<bool> ReplayHistoryLog(control::History& history, cache::ContentStore& content,
                                const std::string& ref,
                                const std::function<bool(wire::StatusResponse)>& send) {
  StatusOr<control::HistoryRecord> record = history.Get(ref);
  if (!record.ok() || !record->completed.set()) return false;
  wire::BuildHistoryRecord body;
  body.ParseFromString(record->body);
  if (!body.has_logs()) return true;
  oci::Descriptor blob;
  blob.digest = Digest::Trusted(body.logs().digest());
  blob.size = body.logs().size();
  ASSIGN_OR_RETURN(std::string log, cache::ReadBlob(content, blob, kMaxLog));
  for (std::string_view rest = log; rest.size() >= 4;) {
    uint32_t size = 0;
    for (size_t i = 0; i < 4; ++i) size |= static_cast<uint32_t>(static_cast<uint8_t>(rest[i])) << (8 * i);
    rest.remove_prefix(4);
    wire::StatusResponse message;
    if (size > rest.size() ||
        !message.ParseFromArray(rest.data(), static_cast<int>(size))) {
      return DataLossError(StrCat("the log of ", ref, " is damaged"));
    }
    rest.remove_prefix(size);
    if (!send(std::move(message))) return CancelledError("client is gone");
  }
  return true;
}

}  // namespace kiln::api
