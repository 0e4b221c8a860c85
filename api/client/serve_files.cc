// FileSync and FileSend: folders to the daemon, results from it.
#include <grpcpp/impl/codegen/method_handler.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <unistd.h>

#include <cerrno>

#include "api/client/attachments.h"
#include "api/fsutil/fs_tree.h"
#include "api/fsutil/packet_batch.h"
#include "api/fsutil/receiver.h"
#include "api/fsutil/sender.h"
#include "api/proto/session/filesync.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "base/file.h"
#include "base/url.h"

namespace kiln::api {
namespace {

namespace filesync = ::moby::filesync::v1;
using ::fsutil::types::Packet;

// Values of a header; "<key>-encoded" says that they are query-escaped.
std::vector<std::string> HeaderValues(const grpc::ServerContext& context, const std::string& key) {
  const auto& metadata = context.client_metadata();
  auto encoded = metadata.find(key + "-encoded");
  bool escaped = encoded != metadata.end() && (encoded->second == "1" || encoded->second == "true");
  std::vector<std::string> values;
  auto [from, to] = metadata.equal_range(key);
  for (auto it = from; it != to; ++it) {
    std::string value(it->second.data(), it->second.size());
    if (escaped) value = UrlQueryUnescape(value).value_or(std::string());
    values.push_back(std::move(value));
  }
  return values;
}

template <typename Stream>
class TypedPackets final : public PacketStream {
 public:
  TypedPackets(grpc::ServerContext& context, Stream& stream)
      : context_(context), stream_(stream) {}
  StatusOr<bool> Recv(Packet* packet) override { return stream_.Read(packet); }
  // No buffer hint: a server's held-back messages stay in the transport until
  // something else is written on the connection (seen as 5 s, the health check's pace).
  Status Send(const Packet& packet, bool) override {
    if (!stream_.Write(packet)) return UnavailableError("EOF");
    return OkStatus();
  }
  void Cut() override { context_.TryCancel(); }

 private:
  grpc::ServerContext& context_;
  Stream& stream_;
};

class FileSyncService final : public filesync::FileSync::Service {
 public:
  explicit FileSyncService(std::map<std::string, std::string> dirs) : dirs_(std::move(dirs)) {}

  grpc::Status DiffCopy(grpc::ServerContext* context,
                        grpc::ServerReaderWriter<Packet, Packet>* stream) override {
    return ToGrpcWithStack(Send(*context, *stream));
  }
  // A name that peers look for; the protocol behind it never came, with the reference neither.
  grpc::Status TarStream(grpc::ServerContext*,
                         grpc::ServerReaderWriter<Packet, Packet>*) override {
    return ToGrpcWithStack(UnknownError("failed to negotiate protocol"));
  }

 private:
  Status Send(grpc::ServerContext& context, grpc::ServerReaderWriter<Packet, Packet>& stream) {
    std::vector<std::string> names = HeaderValues(context, "dir-name");
    std::string name = names.empty() ? "" : names.front();
    auto dir = dirs_.find(name);
    if (dir == dirs_.end()) {
      return NotFoundError(StrCat(
          "rpc error: code = NotFound desc = no access allowed to dir ", Quote(name)));
    }
    TreeFilter filter;
    filter.include = HeaderValues(context, "include-patterns");
    filter.exclude = HeaderValues(context, "exclude-patterns");
    filter.follow_paths = HeaderValues(context, "followpaths");
    filter.map = [](FsStat& stat) {
      stat.uid = 0;
      stat.gid = 0;
      return true;
    };
    ASSIGN_OR_RETURN(std::unique_ptr<FsTree> tree, OpenDirTree(dir->second, std::move(filter)));
    TypedPackets packets(context, stream);
    BatchedPackets batches(packets, !HeaderValues(context, kBatchHeader).empty());
    return SendTree(batches, *tree);
  }

  std::map<std::string, std::string> dirs_;
};

using RawStream = grpc::ServerReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

// Packets over a stream whose declared messages are others.
class RawPackets final : public PacketStream {
 public:
  RawPackets(grpc::ServerContext& context, RawStream& stream)
      : context_(context), stream_(stream) {}
  StatusOr<bool> Recv(Packet* packet) override {
    grpc::ByteBuffer buffer;
    if (!stream_.Read(&buffer)) return false;
    grpc::ProtoBufferReader reader(&buffer);
    packet->Clear();
    if (!packet->ParseFromZeroCopyStream(&reader)) return InternalError("proto: cannot parse packet");
    return true;
  }
  Status Send(const Packet& packet, bool) override {
    grpc::Slice slice(packet.SerializeAsString());
    if (!stream_.Write(grpc::ByteBuffer(&slice, 1))) return UnavailableError("EOF");
    return OkStatus();
  }
  void Cut() override { context_.TryCancel(); }

 private:
  grpc::ServerContext& context_;
  RawStream& stream_;
};

// FileSend.DiffCopy carries fsutil packets or bytes, by target: served untyped.
class FileSendService final : public grpc::Service {
 public:
  explicit FileSendService(std::map<int, OutputTarget> targets) : targets_(std::move(targets)) {
    AddMethod(new grpc::internal::RpcServiceMethod(
        "/moby.filesync.v1.FileSend/DiffCopy", grpc::internal::RpcMethod::BIDI_STREAMING,
        new grpc::internal::BidiStreamingHandler<FileSendService, grpc::ByteBuffer,
                                                 grpc::ByteBuffer>(
            [](FileSendService* service, grpc::ServerContext* context, RawStream* stream) {
              return ToGrpcWithStack(service->Receive(*context, *stream));
            },
            this)));
  }

 private:
  Status Receive(grpc::ServerContext& context, RawStream& stream) {
    std::vector<std::string> ids = HeaderValues(context, "buildkit-attachable-exporter-id");
    int64_t id = 0;
    if (!ids.empty() && !ParseInt64(ids.front(), &id)) id = 0;
    auto target = targets_.find(static_cast<int>(id));
    if (target == targets_.end()) return UnknownError(StrCat("exporter ", id, " not found"));
    if (!target->second.dir.empty()) return ReceiveDir(context, target->second, stream);
    return ReceiveFile(target->second, stream);
  }

  static Status ReceiveDir(grpc::ServerContext& context, const OutputTarget& target,
                           RawStream& stream) {
    std::vector<std::string> multi = HeaderValues(context, "buildkit-exporter-multi-platform");
    if (target.mirror && (multi.empty() || multi.front() != "1")) {
      return UnknownError(
          "local exporter mode=delete requires a BuildKit daemon with multi-platform local export "
          "support");
    }
    if (Status made = MakeDirs(target.dir, 0700); !made.ok()) {
      // What the file system says carries no code for the daemon.
      return UnknownError(StrCat("failed to create synctarget dest dir ", target.dir, ": ",
                                 made.message()));
    }
    ReceiveOptions options;
    options.dest = target.dir;
    options.merge = !target.mirror;
    options.differ_none = target.mirror;
    options.filter = [uid = ::getuid(), gid = ::getgid()](FsStat& stat) {
      stat.uid = uid;
      stat.gid = gid;
      return true;
    };
    RawPackets packets(context, stream);
    return ReceiveTree(packets, options);
  }

  static Status ReceiveFile(const OutputTarget& target, RawStream& stream) {
    grpc::ByteBuffer buffer;
    while (stream.Read(&buffer)) {
      filesync::BytesMessage message;
      grpc::ProtoBufferReader reader(&buffer);
      if (!message.ParseFromZeroCopyStream(&reader)) return InternalError("proto: cannot parse");
      RETURN_IF_ERROR(WriteAll(target.file->get(), message.data()));
    }
    target.file->Reset();
    return OkStatus();
  }

  std::map<int, OutputTarget> targets_;
};

}  // namespace

Attachment ServeFiles(std::map<std::string, std::string> dirs) {
  return {std::make_shared<FileSyncService>(std::move(dirs)),
          {"/moby.filesync.v1.FileSync/DiffCopy", "/moby.filesync.v1.FileSync/TarStream"}};
}

Attachment ServeOutputs(std::map<int, OutputTarget> targets) {
  return {std::make_shared<FileSendService>(std::move(targets)),
          {"/moby.filesync.v1.FileSend/DiffCopy"}};
}

}  // namespace kiln::api
