// Folders between client and daemon by the fsutil protocol.
#include <grpcpp/grpcpp.h>

#include "api/fsutil/fs_tree.h"
#include "api/fsutil/packet_batch.h"
#include "api/fsutil/packet_stream.h"
#include "api/fsutil/receiver.h"
#include "api/fsutil/sender.h"
#include "api/proto/session/filesync.grpc.pb.h"
#include "api/session/live_session.h"
#include "api/session/session_headers.h"
#include "api/tunnel/go_error.h"
#include "api/tunnel/grpc_status.h"
#include "base/pattern.h"
#include "base/strings.h"
#include "cache/contenthash/file_hash.h"

namespace kiln::api {
namespace {

using Packet = fsutil::types::Packet;
using PacketCall = grpc::ClientReaderWriter<Packet, Packet>;

constexpr char kSyncMethod[] = "/moby.filesync.v1.FileSync/DiffCopy";
constexpr char kSendMethod[] = "/moby.filesync.v1.FileSend/DiffCopy";

// One DiffCopy call. FileSend's is declared with other messages than it carries, so
// the call is made by its path.
class DiffCopyCall : public PacketStream {
 public:
  void Start(grpc::Channel& channel, const char* method) {
    call_.reset(grpc::internal::ClientReaderWriterFactory<Packet, Packet>::Create(
        &channel, grpc::internal::RpcMethod(method, grpc::internal::RpcMethod::BIDI_STREAMING),
        &context));
  }
  StatusOr<bool> Recv(Packet* packet) override {
    if (call_->Read(packet)) return true;
    Status status = Finish();
    if (!status.ok()) return status;
    return false;
  }
  Status Send(const Packet& packet, bool more) override {
    grpc::WriteOptions options;
    if (more) options.set_buffer_hint();
    if (call_->Write(packet, options)) return OkStatus();
    return UnavailableError("session is gone");
  }
  void Cut() override { context.TryCancel(); }
  // Ends the call as `result` says; the client's own error is the better one.
  Status End(const Status& result) {
    if (result.ok()) {
      call_->WritesDone();
      Packet ignored;
      while (!finished_ && call_->Read(&ignored)) {
      }
      return Finish();
    }
    context.TryCancel();
    Status finished = Finish();
    if (IsCancelled(finished) && IsCancelled(result)) return CancelledError("context canceled");
    bool lost = result.code() == StatusCode::kUnavailable;
    return lost && !finished.ok() && !IsCancelled(finished) ? finished : result;
  }

  grpc::ClientContext context;

 private:
  Status Finish() {
    if (!finished_) {
      finished_ = true;
      outcome_ = StreamError(call_->Finish());
    }
    return outcome_;
  }
  std::unique_ptr<PacketCall> call_;
  bool finished_ = false;
  Status outcome_;
};

bool Plain(std::string_view text) {
  for (char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

// Go's url.QueryEscape.
std::string QueryEscape(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '-' || c == '_' || c == '.' || c == '~';
    auto byte = static_cast<unsigned char>(c);
    if (keep) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

// Values that a header cannot carry are escaped, and the key says so.
void AddEscaped(grpc::ClientContext& context, const std::string& key,
                const std::vector<std::string>& values) {
  bool plain = true;
  for (const std::string& value : values) plain = plain && Plain(value);
  for (const std::string& value : values) {
    context.AddMetadata(key, plain ? value : QueryEscape(value));
  }
  if (!plain) context.AddMetadata(key + "-encoded", "1");
}

worker::SyncStat ToSync(const FsStat& in) {
  return {in.path,      in.mode,      in.uid,       in.gid,    in.size, in.mod_time,
          in.link_name, in.dev_major, in.dev_minor, in.xattrs};
}

void FromSync(const worker::SyncStat& in, FsStat* out) {
  *out = {in.path,      in.mode,      in.uid,       in.gid,    in.size, in.mod_time,
          in.link_name, in.dev_major, in.dev_minor, in.xattrs};
}

std::function<bool(FsStat&)> StatFilter(const std::function<bool(worker::SyncStat&)>& filter) {
  if (!filter) return {};
  return [filter](FsStat& stat) {
    worker::SyncStat sync = ToSync(stat);
    if (!filter(sync)) return false;
    FromSync(sync, &stat);
    return true;
  };
}

class ContentEntryHash : public EntryHash {
 public:
  explicit ContentEntryHash(const FsStat& stat)
      : hash_({stat.mode, stat.uid, stat.gid, stat.size, stat.mod_time, stat.link_name,
               stat.dev_major, stat.dev_minor, stat.xattrs}) {}
  void Update(std::string_view bytes) override { hash_.Update(bytes); }
  Digest Finish() override { return hash_.Finish(); }

 private:
  cache::FileHash hash_;
};

StatusOr<ReceiveOptions> ReceiveOptionsOf(const worker::SyncRequest& request) {
  ReceiveOptions options{.dest = request.dest, .differ_none = request.differ_none};
  options.filter = StatFilter(request.filter);
  options.on_progress = request.on_progress;
  if (request.on_change) {
    options.hash = [](const FsStat& stat) { return std::make_unique<ContentEntryHash>(stat); };
    options.on_change = [&request](FsChange change, const FsStat& stat, const Digest& digest) {
      return request.on_change(static_cast<worker::SyncChange>(change), ToSync(stat), digest);
    };
  }
  if (request.metadata_only) {
    ASSIGN_OR_RETURN(PatternList wanted, PatternList::Compile(request.metadata_exceptions));
    options.metadata_only = [wanted](const FsStat& stat) {
      return wanted.MatchesOrParentMatches(stat.path);
    };
  }
  return options;
}

}  // namespace

Status LiveSession::SyncDir(const worker::SyncRequest& request, std::stop_token stop) {
  if (!Supports(kSyncMethod)) return UnknownError("no local sources enabled");
  ASSIGN_OR_RETURN(ReceiveOptions options, ReceiveOptionsOf(request));
  DiffCopyCall call;
  AddEscaped(call.context, "dir-name", {request.name});
  AddEscaped(call.context, "include-patterns", request.include);
  AddEscaped(call.context, "exclude-patterns", request.exclude);
  AddEscaped(call.context, "followpaths", request.follow_paths);
  call.context.AddMetadata(kBatchHeader, "1");
  std::stop_callback cancel(stop, [&] { call.context.TryCancel(); });
  call.Start(*channel_, kSyncMethod);
  BatchedPackets packets(call, false);
  return call.End(ReceiveTree(packets, options));
}

Status LiveSession::SendDir(const worker::SendDirRequest& request, std::stop_token stop) {
  if (!Supports(kSendMethod)) {
    return UnknownError(StrCat("method ", ToLower(kSendMethod), " not supported by the client"));
  }
  ASSIGN_OR_RETURN(auto tree, OpenDirTree(request.dir, {.map = StatFilter(request.map_stat)}));
  if (!request.extra.empty()) {
    std::vector<ExtraFile> extra;
    for (const worker::SentFile& file : request.extra) {
      FromSync(file.stat, &extra.emplace_back().stat);
      extra.back().bytes = file.bytes;
    }
    tree = MakeMergedTree(std::move(tree), std::move(extra));
  }
  DiffCopyCall call;
  for (const auto& [key, value] : request.metadata) {
    // That the transfer holds all platforms is said to the client's library, not to its user.
    bool plain = key == "buildkit-exporter-multi-platform";
    RETURN_IF_ERROR(
        AddHeader(call.context, plain ? key : StrCat("exporter-md-", ToLower(key)), value));
  }
  RETURN_IF_ERROR(
      AddHeader(call.context, "buildkit-attachable-exporter-id", request.exporter_id));
  std::stop_callback cancel(stop, [&] { call.context.TryCancel(); });
  call.Start(*channel_, kSendMethod);
  return call.End(SendTree(call, *tree, request.on_progress));
}

}  // namespace kiln::api
