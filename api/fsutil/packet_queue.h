// PacketQueue: sends packets from a thread of its own, in order of adding.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "api/fsutil/packet_stream.h"
#include "api/proto/session/fsutil_wire.pb.h"

namespace kiln::api {

// Thread-safe. Without bound: callers add one packet per file at most. Packets
// leave together after Wake or Stop; after a failed Send the rest is dropped.
class PacketQueue {
 public:
  explicit PacketQueue(PacketStream& stream) : stream_(stream), thread_([this] { Run(); }) {}
  ~PacketQueue() { Stop(); }

  void Add(::fsutil::types::Packet packet);
  void Wake();
  // Sends what waits, then ends the thread.
  void Stop();

 private:
  void Run();

  PacketStream& stream_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<::fsutil::types::Packet> queue_;
  bool awake_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kiln::api
