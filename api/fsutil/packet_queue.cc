// See packet_queue.h.
#include "api/fsutil/packet_queue.h"

namespace kiln::api {

void PacketQueue::Add(::fsutil::types::Packet packet) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(packet));
}

void PacketQueue::Wake() {
  {
    std::lock_guard lock(mutex_);
    if (queue_.empty()) return;
    awake_ = true;
  }
  wake_.notify_one();
}

void PacketQueue::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void PacketQueue::Run() {
  bool broken = false;
  std::unique_lock lock(mutex_);
  while (true) {
    if (queue_.empty()) awake_ = false;
    wake_.wait(lock, [this] { return stop_ || awake_; });
    if (queue_.empty()) return;
    ::fsutil::types::Packet packet = std::move(queue_.front());
    queue_.pop_front();
    bool more = !queue_.empty();
    lock.unlock();
    if (!broken) broken = !stream_.Send(packet, more).ok();
    lock.lock();
  }
}

}  // namespace kiln::api
