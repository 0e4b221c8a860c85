// PacketStream: the two-way stream of packets under a tree transfer.
//
// Implemented over gRPC by api/client and api/session, over a queue in tests.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/status.h"

namespace fsutil::types {
class Packet;
}

namespace kiln::api {

// Recv and Send are called from one thread each, at the same time; both block.
class PacketStream {
 public:
  virtual ~PacketStream() = default;
  // False at the end of the stream; a failure if the peer ended it with one.
  virtual StatusOr<bool> Recv(::fsutil::types::Packet* packet) = 0;
  // A packet is at hand: the next Recv will not block. Asked by the thread of Recv.
  virtual bool HasNext() const { return false; }
  // `more`: another Send follows at once, so that the packet may be held back
  // and leave together with it.
  virtual Status Send(const ::fsutil::types::Packet& packet, bool more) = 0;
  // Ends both directions at once: Recv and Send that block return. From any thread.
  virtual void Cut() = 0;
};

// Cuts a stream that is still in use some seconds after it was told to end: a peer that
// neither reads nor hangs up must not hold a transfer that has failed. Not thread-safe.
class LastCall {
 public:
  static constexpr std::chrono::seconds kGrace{5};

  explicit LastCall(PacketStream& stream, std::chrono::milliseconds grace = kGrace)
      : thread_([this, &stream, grace](std::stop_token stop) {
          std::unique_lock lock(mutex_);
          over_.wait_for(lock, stop, grace, [] { return false; });
          if (!stop.stop_requested()) stream.Cut();
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any over_;
  std::jthread thread_;  // last: ends before the others go
};

}  // namespace kiln::api
