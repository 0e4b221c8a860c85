// PacketStream: the two-way stream of packets under a tree transfer.
//
// Implemented over gRPC by api/client and api/session, over a queue in tests.
#pragma once

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
  // `more`: another Send follows at once, so that the packet may be held back
  // and leave together with it.
  virtual Status Send(const ::fsutil::types::Packet& packet, bool more) = 0;
};

}  // namespace kiln::api
