// BatchedPackets: several packets of a transfer as one message of its stream.
//
// A message costs far more than the few bytes of most packets. Batches are an
// extension of ours: whoever opens the call says in its headers that it takes them
// (kBatchHeader), and the other side may then send them. Who opened the call sends
// them from the first one that it receives.
#pragma once

#include <atomic>

#include "api/fsutil/packet_stream.h"
#include "api/proto/session/fsutil_wire.pb.h"

namespace kiln::api {

inline constexpr char kBatchHeader[] = "kiln-packet-batches";

// Like every PacketStream: one thread for Recv and one for Send at a time. Packets that
// are followed by `more` are held back until they are worth a message.
class BatchedPackets final : public PacketStream {
 public:
  // `stream` outlives this.
  BatchedPackets(PacketStream& stream, bool peer_takes_batches)
      : stream_(stream), send_batches_(peer_takes_batches) {}

  StatusOr<bool> Recv(::fsutil::types::Packet* packet) override;
  bool HasNext() const override { return next_ < in_.batch_size(); }
  Status Send(const ::fsutil::types::Packet& packet, bool more) override;
  void Cut() override { stream_.Cut(); }

 private:
  Status Flush(bool more);

  PacketStream& stream_;
  std::atomic<bool> send_batches_;
  ::fsutil::types::Packet in_;  // what is left of the last batch
  int next_ = 0;
  ::fsutil::types::Packet out_;  // what is held back
  size_t held_bytes_ = 0;
};

}  // namespace kiln::api
