// See sender.h. Three parties: the caller reads requests, one thread lists the
// tree, a few read files. A queue without bound lies between, since the ids in
// it are those of files already listed.
#include "api/fsutil/sender.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "api/proto/session/fsutil_wire.pb.h"

namespace kiln::api {
namespace {

using ::fsutil::types::Packet;

constexpr size_t kChunk = 256 << 10;
constexpr int kReaders = 2;
// Of files that were asked for and not sent. The list runs ahead no further: what the
// receiver keeps of each file that it waits for is more than its name.
constexpr size_t kMostAsked = 4096;

class Sender {
 public:
  Sender(PacketStream& stream, FsTree& tree, const FsProgress& progress)
      : stream_(stream), tree_(tree), progress_(progress) {}

  Status Run() {
    std::vector<std::thread> threads;
    threads.emplace_back([this] { List(); });
    for (int i = 0; i < kReaders; ++i) threads.emplace_back([this] { SendFiles(); });
    Status status = ReadRequests();
    LastCall last_call(stream_);  // a thread may wait for a peer that does not read
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    room_.notify_all();
    for (std::thread& thread : threads) thread.join();
    std::lock_guard lock(mutex_);
    return failure_.ok() ? status : failure_;
  }

 private:
  Status ReadRequests() {
    Packet packet;
    while (true) {
      packet.Clear();
      if (!stream_.HasNext()) WakeReaders();
      ASSIGN_OR_RETURN(bool more, stream_.Recv(&packet));
      if (!more) return UnavailableError("EOF");
      switch (packet.type()) {
        case Packet::PACKET_ERR:
          return UnknownError(StrCat("error from receiver: ", packet.data()));
        case Packet::PACKET_REQ:
          RETURN_IF_ERROR(Queue(packet.id()));
          break;
        case Packet::PACKET_FIN: {
          // The peer has what it wanted; it may have ended the stream by now.
          Packet fin;
          fin.set_type(Packet::PACKET_FIN);
          Send(fin, false).IgnoreError();
          return OkStatus();
        }
        default:
          break;
      }
    }
  }

  void WakeReaders() {
    size_t files = 0;
    {
      std::lock_guard lock(mutex_);
      files = queue_.size();
    }
    if (files > 1) wake_.notify_all();
    if (files == 1) wake_.notify_one();
  }

  Status Queue(uint32_t id) {
    std::lock_guard lock(mutex_);
    auto file = files_.find(id);
    if (file == files_.end()) return UnknownError(StrCat("invalid file id ", id));
    queue_.emplace_back(id, std::move(file->second));
    files_.erase(file);
    ++unsent_;
    return OkStatus();
  }

  void List() {
    uint32_t id = 0;
    Status status = tree_.Walk([&](const FsStat& stat) -> Status {
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return over_ || queue_.size() < kMostAsked; });
        if (over_) return CancelledError("context canceled");
        if (stat.is_regular()) files_.emplace(id, stat.path);
      }
      ++id;
      Packet packet;
      packet.set_type(Packet::PACKET_STAT);
      ToProto(stat, packet.mutable_stat());
      return Send(packet, true);
    });
    Packet last;
    last.set_type(Packet::PACKET_STAT);
    if (!status.ok()) {
      last.set_type(Packet::PACKET_ERR);
      last.set_data(status.message());
      Fail(status);
    }
    // The peer's answer, or the end of the stream, is what ReadRequests sees next.
    Send(last, false).IgnoreError();
  }

  void SendFiles() {
    std::vector<char> buffer(kChunk);
    while (true) {
      std::pair<uint32_t, std::string> file;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return over_ || !queue_.empty(); });
        if (over_) return;
        file = std::move(queue_.front());
        queue_.pop_front();
        if (queue_.size() == kMostAsked / 2) room_.notify_one();
      }
      Status status = SendFile(file.first, file.second, buffer);
      if (!status.ok()) {
        Packet error;
        error.set_type(Packet::PACKET_ERR);
        error.set_data(status.message());
        Fail(status);
        Send(error, false).IgnoreError();
        return;
      }
    }
  }

  Status SendFile(uint32_t id, const std::string& path, std::vector<char>& buffer) {
    Packet packet;
    packet.set_type(Packet::PACKET_DATA);
    packet.set_id(id);
    Packet end = packet;
    StatusOr<std::unique_ptr<FsFile>> file = tree_.Open(path);
    while (file.ok()) {
      ASSIGN_OR_RETURN(size_t n, (*file)->Read(buffer.data(), buffer.size()));
      if (n == 0) break;
      if (!packet.data().empty()) RETURN_IF_ERROR(Send(packet, true));
      packet.set_data(buffer.data(), n);
    }
    return Send(packet, false, packet.data().empty() ? nullptr : &end, true);
  }

  // `more`: this thread sends again at once. A packet may be held back only if a
  // later one is certain to push it out: that of this thread, that of a thread which
  // already waits for its turn here, or the end of another file that was asked for.
  // `ends_file`: the packet, or `next`, is a file's last; counted here, so that the last
  // of all pushes.
  Status Send(const Packet& packet, bool more, const Packet* next = nullptr,
              bool ends_file = false) {
    ++waiting_;
    std::lock_guard lock(send_mutex_);
    --waiting_;
    if (next != nullptr) RETURN_IF_ERROR(SendLocked(packet, true));
    if (ends_file) more = --unsent_ > 0;
    return SendLocked(next != nullptr ? *next : packet, more || waiting_ > 0);
  }

  Status SendLocked(const Packet& packet, bool more) {
    if (Status sent = stream_.Send(packet, more); !sent.ok()) {
      broken_ = true;
      return sent;
    }
    if (progress_) {
      sent_ += static_cast<int64_t>(packet.ByteSizeLong());
      progress_(sent_);
    }
    return OkStatus();
  }

  // Not for a stream that takes nothing any more: why it does not is what ReadRequests
  // sees, after all that the peer has said before.
  void Fail(const Status& status) {
    if (broken_) return;
    std::lock_guard lock(mutex_);
    if (failure_.ok() && !over_) failure_ = status;
  }

  PacketStream& stream_;
  FsTree& tree_;
  const FsProgress& progress_;

  std::atomic<int> waiting_ = 0;  // threads before send_mutex_
  std::atomic<int> unsent_ = 0;   // files that were asked for and have not ended
  std::atomic<bool> broken_ = false;  // the stream takes nothing any more
  std::mutex send_mutex_;
  int64_t sent_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable room_;  // the list waits while so many files are asked for
  std::unordered_map<uint32_t, std::string> files_;
  std::deque<std::pair<uint32_t, std::string>> queue_;
  Status failure_;
  bool over_ = false;
};

}  // namespace

Status SendTree(PacketStream& stream, FsTree& tree, const FsProgress& progress) {
  return Sender(stream, tree, progress).Run();
}

}  // namespace kiln::api
