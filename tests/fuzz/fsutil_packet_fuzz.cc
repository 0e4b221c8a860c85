// Packets of a hostile sender, length-prefixed, into a receiver with a fresh folder.
#include <unistd.h>

#include "api/fsutil/packet_batch.h"
#include "api/fsutil/receiver.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "base/file.h"

namespace {

// Plays the input; what the receiver sends is dropped.
class InputStream final : public kiln::api::PacketStream {
 public:
  InputStream(const uint8_t* bytes, size_t size) : bytes_(bytes), left_(size) {}
  kiln::StatusOr<bool> Recv(::fsutil::types::Packet* packet) override {
    if (left_ < 2) return false;
    size_t length = bytes_[0] + 256U * (bytes_[1] & 0x0fU);
    bytes_ += 2;
    left_ -= 2;
    if (length > left_) length = left_;
    bool good = packet->ParseFromArray(bytes_, static_cast<int>(length));
    bytes_ += length;
    left_ -= length;
    if (!good) return kiln::InternalError("bad packet");
    // Owners and devices need root; neither is what is tested here.
    if (packet->has_stat()) {
      packet->mutable_stat()->set_uid(::getuid());
      packet->mutable_stat()->set_gid(::getgid());
      packet->mutable_stat()->set_mode(packet->stat().mode() & ~(1U << 26));
    }
    return true;
  }
  kiln::Status Send(const ::fsutil::types::Packet&, bool) override { return {}; }
  void Cut() override {}

 private:
  const uint8_t* bytes_;
  size_t left_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  kiln::TempDir temp(kiln::MakeTempDir("/tmp", "fsutil-fuzz-").value());
  InputStream stream(bytes, size);
  kiln::api::ReceiveOptions options;
  options.dest = temp.path();
  kiln::api::BatchedPackets batched(stream, false);  // a packet may be many
  kiln::api::ReceiveTree(batched, options).IgnoreError();
  return 0;
}
