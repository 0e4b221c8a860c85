// See packet_batch.h.
#include "api/fsutil/packet_batch.h"

namespace kiln::api {
namespace {

using ::fsutil::types::Packet;

constexpr size_t kFullBatch = 128 << 10;
// Larger packets travel alone: they would only be copied once more.
constexpr size_t kSmallPacket = 32 << 10;

}  // namespace

StatusOr<bool> BatchedPackets::Recv(Packet* packet) {
  if (next_ == in_.batch_size()) {
    in_.Clear();
    next_ = 0;
    ASSIGN_OR_RETURN(bool more, stream_.Recv(&in_));
    if (!more) return false;
    if (in_.batch_size() == 0) {
      packet->Swap(&in_);
      in_.Clear();
      return true;
    }
    send_batches_ = true;
  }
  packet->Swap(in_.mutable_batch(next_++));
  packet->clear_batch();
  return true;
}

Status BatchedPackets::Send(const Packet& packet, bool more) {
  if (!send_batches_) return stream_.Send(packet, more);
  size_t bytes = packet.ByteSizeLong();
  if (bytes > kSmallPacket) {
    RETURN_IF_ERROR(Flush(true));
    return stream_.Send(packet, more);
  }
  *out_.add_batch() = packet;
  held_bytes_ += bytes;
  return !more || held_bytes_ >= kFullBatch ? Flush(more) : OkStatus();
}

Status BatchedPackets::Flush(bool more) {
  if (out_.batch_size() == 0) return OkStatus();
  Status sent = out_.batch_size() == 1 ? stream_.Send(out_.batch(0), more)
                                       : stream_.Send(out_, more);
  out_.clear_batch();
  held_bytes_ = 0;
  return sent;
}

}  // namespace kiln::api
