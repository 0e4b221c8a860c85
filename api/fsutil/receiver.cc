// See receiver.h. The caller's thread reads packets, compares and makes
// everything but regular files; a few writers fill those; one thread sends
// requests, so that reading never waits for a peer that does not read.
#include "api/fsutil/receiver.h"

#include <fcntl.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "api/fsutil/dir_cursor.h"
#include "api/fsutil/file_writers.h"
#include "api/fsutil/order_check.h"
#include "api/fsutil/packet_queue.h"
#include "api/fsutil/tree_writer.h"
#include "api/proto/session/fsutil_stat.pb.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "base/file.h"

namespace kiln::api {
namespace {

using ::fsutil::types::Packet;

constexpr std::string_view kMetadataPath = ".fsutil-metadata";
// Files are asked for while less than this of them is still to come: it may all arrive before
// the disk takes any of it, and who sends is not kept waiting by it on a line with 100 ms.
constexpr int64_t kMaxOwed = 16 << 20;
constexpr int64_t kMostOfOne = int64_t{1} << 60;  // sums stay in range

Packet PacketOf(Packet::PacketType type, uint32_t id = 0, std::string data = {}) {
  Packet packet;
  packet.set_type(type);
  packet.set_id(id);
  packet.set_data(std::move(data));
  return packet;
}

bool SameEntry(const FsStat& have, const FsStat& want) {
  if (!have.is_dir() && (have.size != want.size || have.mod_time != want.mod_time)) return false;
  return have.mode == want.mode && have.uid == want.uid && have.gid == want.gid &&
         have.dev_major == want.dev_major && have.dev_minor == want.dev_minor &&
         have.link_name == want.link_name;
}

class Receiver {
 public:
  Receiver(PacketStream& stream, const ReceiveOptions& options, RootedTree tree, DirCursor cursor)
      : options_(options),
        tree_(std::move(tree)),
        cursor_(std::move(cursor)),
        order_(options.max_entries, options.max_entry_bytes),
        out_(tree_),
        requests_(stream),
        writers_(tree_, options),
        stream_(stream) {}

  Status Run() {
    Status status = Exchange();
    LastCall last_call(stream_);
    if (!status.ok() && !peer_failed_) {
      requests_.Add(PacketOf(Packet::PACKET_ERR, 0, status.message()));
      requests_.Wake();
      Drain();
    }
    writers_.Stop();
    requests_.Stop();
    return status;
  }

 private:
  struct Parent {
    FsStat stat;
    bool taken;
  };

  // A file that has been announced.
  struct Incoming {
    IncomingFilePtr file;
    int64_t owed;  // bytes that are to come, if the peer does not lie
  };

  Status Exchange() {
    while (true) {
      Packet packet;
      ASSIGN_OR_RETURN(bool more, Next(&packet));
      if (!more) {
        peer_failed_ = true;
        return UnavailableError("EOF");
      }
      switch (packet.type()) {
        case Packet::PACKET_ERR:
          peer_failed_ = true;
          return UnknownError(StrCat("error from sender: ", packet.data()));
        case Packet::PACKET_STAT:
          RETURN_IF_ERROR(packet.has_stat() ? OnStat(packet.stat()) : OnLastStat());
          break;
        case Packet::PACKET_DATA:
          RETURN_IF_ERROR(OnData(&packet));
          break;
        case Packet::PACKET_FIN:
          if (!finished_) return UnknownError("unexpected end of transfer");
          return OkStatus();
        default:
          break;
      }
      RETURN_IF_ERROR(writers_.failure());
      AskForMore();
      if (listed_ && pending_.empty() && !finished_) RETURN_IF_ERROR(Finish());
    }
  }

  // What the packets so far have brought about is under way before one is waited for.
  StatusOr<bool> Next(Packet* packet) {
    if (!stream_.HasNext()) {
      requests_.Wake();
      writers_.Wake();
    }
    StatusOr<bool> more = stream_.Recv(packet);
    if (!more.ok()) peer_failed_ = true;
    if (more.ok() && options_.on_progress) {
      received_ += static_cast<int64_t>(packet->ByteSizeLong());
      options_.on_progress(received_);
    }
    return more;
  }

  // Gives the peer the time to take the error: it ends the stream after it.
  void Drain() {
    Packet packet;
    while (true) {
      StatusOr<bool> more = stream_.Recv(&packet);
      if (!more.ok() || !*more) return;
      if (packet.type() == Packet::PACKET_ERR || packet.type() == Packet::PACKET_FIN) return;
    }
  }

  Status OnStat(const ::fsutil::types::Stat& wire) {
    if (listed_) return UnknownError("stat after the end of the list");
    FsStat stat = FromProto(wire);
    uint32_t id = next_id_++;
    if (!options_.metadata_only) {
      RETURN_IF_ERROR(order_.Next(stat));
      return Take(stat, id);
    }
    if (stat.path == kMetadataPath) return OkStatus();
    RETURN_IF_ERROR(order_.Next(stat));
    Record(wire);
    while (!parents_.empty() && !stat.path.starts_with(parents_.back().stat.path + "/")) {
      parents_.pop_back();
    }
    bool taken = options_.metadata_only(stat);
    if (taken) {
      for (Parent& parent : parents_) {
        if (!std::exchange(parent.taken, true)) RETURN_IF_ERROR(Take(parent.stat, 0));
      }
      RETURN_IF_ERROR(Take(stat, id));
    }
    if (stat.is_dir()) parents_.push_back({std::move(stat), taken});
    return OkStatus();
  }

  void Record(const ::fsutil::types::Stat& wire) {
    std::string bytes = wire.SerializeAsString();
    auto size = static_cast<uint32_t>(bytes.size());
    for (int shift = 0; shift < 32; shift += 8) {
      metadata_.push_back(static_cast<char>((size >> shift) & 0xff));
    }
    metadata_ += bytes;
  }

  // One entry of the new tree against the old one.
  Status Take(const FsStat& stat, uint32_t id) {
    std::unique_ptr<FsStat> filtered;
    if (options_.filter) filtered = std::make_unique<FsStat>(stat);
    bool keep = filtered == nullptr || options_.filter(*filtered);
    const FsStat& target = filtered != nullptr ? *filtered : stat;
    RETURN_IF_ERROR(DeleteBefore(&stat.path));
    FsChange kind = FsChange::kAdd;
    if (const FsStat* old = cursor_.current(); old != nullptr && old->path == stat.path) {
      kind = FsChange::kModify;
      bool same = !options_.differ_none && SameEntry(*old, target);
      RETURN_IF_ERROR(cursor_.Advance(old->is_dir() && stat.is_dir()));
      if (same) {
        if (stat.is_dir()) out_.KeepFolder(target);
        return OkStatus();
      }
    }
    if (!keep) return OkStatus();
    if (!stat.is_regular()) {
      RETURN_IF_ERROR(out_.MakeNode(target));
      return writers_.Tell(kind, stat);
    }
    if (!stat.link_name.empty()) {
      links_.push_back({stat, std::move(filtered), kind});
      return OkStatus();
    }
    wanted_.emplace_back(
        id, Incoming{writers_.Begin({stat, std::move(filtered), FsChange::kAdd}),
                     std::min(stat.size, kMostOfOne)});
    return OkStatus();
  }

  void AskForMore() {
    while (!wanted_.empty() && owed_ < kMaxOwed) {
      auto& [id, incoming] = wanted_.front();
      owed_ += incoming.owed;
      requests_.Add(PacketOf(Packet::PACKET_REQ, id));
      pending_.emplace(id, std::move(incoming));
      wanted_.pop_front();
    }
  }

  // Removes what the old tree has before `*path`, or to its end.
  Status DeleteBefore(const std::string* path) {
    while (const FsStat* old = cursor_.current()) {
      if (path != nullptr && ComparePaths(old->path, *path) >= 0) return OkStatus();
      FsStat gone;
      gone.path = old->path;
      FsStat probe = gone;
      RETURN_IF_ERROR(cursor_.Advance(false));
      if (options_.filter && !options_.filter(probe)) continue;
      RETURN_IF_ERROR(out_.Remove(gone.path));
      RETURN_IF_ERROR(writers_.Tell(FsChange::kDelete, gone));
    }
    return OkStatus();
  }

  Status OnLastStat() {
    if (listed_) return OkStatus();
    listed_ = true;
    return DeleteBefore(nullptr);
  }

  Status OnData(Packet* packet) {
    auto file = pending_.find(packet->id());
    if (file == pending_.end()) {
      return UnknownError(StrCat("invalid file request ", packet->id()));
    }
    Incoming& incoming = file->second;
    const int64_t size = static_cast<int64_t>(packet->data().size());
    const int64_t paid = size == 0 ? incoming.owed : std::min(incoming.owed, size);
    incoming.owed -= paid;
    owed_ -= paid;
    if (size == 0) {
      writers_.End(std::move(incoming.file));
      pending_.erase(file);
    } else {
      writers_.Append(incoming.file, std::move(*packet->mutable_data()));
    }
    return OkStatus();
  }

  Status Finish() {
    finished_ = true;
    RETURN_IF_ERROR(writers_.Flush());
    for (const IncomingEntry& link : links_) {
      RETURN_IF_ERROR(out_.MakeLink(link.target()));
      RETURN_IF_ERROR(writers_.Tell(link.kind, link.sent));
    }
    if (options_.metadata_only) RETURN_IF_ERROR(WriteMetadata());
    RETURN_IF_ERROR(out_.FinishFolders());
    requests_.Add(PacketOf(Packet::PACKET_FIN));
    return OkStatus();
  }

  Status WriteMetadata() {
    RETURN_IF_ERROR(tree_.RemoveAll(kMetadataPath));
    ASSIGN_OR_RETURN(UniqueFd file,
                     tree_.OpenAt(kMetadataPath, O_WRONLY | O_CREAT | O_EXCL, 0644));
    return WriteAll(file.get(), metadata_);
  }

  const ReceiveOptions& options_;
  RootedTree tree_;
  DirCursor cursor_;
  OrderCheck order_;
  TreeWriter out_;
  PacketQueue requests_;
  FileWriters writers_;
  PacketStream& stream_;

  uint32_t next_id_ = 0;
  bool listed_ = false;
  bool finished_ = false;
  bool peer_failed_ = false;
  int64_t received_ = 0;
  std::deque<std::pair<uint32_t, Incoming>> wanted_;  // not yet asked for
  std::unordered_map<uint32_t, Incoming> pending_;    // asked for
  int64_t owed_ = 0;  // of pending_
  std::vector<IncomingEntry> links_;  // made last: what they name may be under way
  std::vector<Parent> parents_;       // of the current entry, with metadata_only
  std::string metadata_;
};

}  // namespace

Status ReceiveTree(PacketStream& stream, const ReceiveOptions& options) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(options.dest));
  ASSIGN_OR_RETURN(DirCursor cursor, DirCursor::Open(options.merge ? -1 : tree.fd()));
  return Receiver(stream, options, std::move(tree), std::move(cursor)).Run();
}

}  // namespace kiln::api
