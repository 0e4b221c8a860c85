// Room for answers: who waits, and in which order.
#include "control/reply_room.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace kiln::control {
namespace {

TEST(ReplyRoom, WhoDoesNotFitWaitsUntilOthersAreThrough) {
  ReplyRoom room(10);
  auto first = *room.Take(6, {});
  std::atomic<bool> served = false;
  std::thread other([&] {
    auto second = room.Take(6, {});
    served = second.ok();
  });
  std::stop_source now;
  now.request_stop();
  EXPECT_EQ(room.Take(6, now.get_token()).status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(served);

  first->Keep(4);
  other.join();

  EXPECT_TRUE(served);
}

TEST(ReplyRoom, MoreThanAllIsAll) {
  ReplyRoom room(10);
  auto all = room.Take(1000, {});
  ASSERT_TRUE(all.ok());
  (*all)->Keep(10);
  std::stop_source now;
  now.request_stop();
  EXPECT_FALSE(room.Take(1, now.get_token()).ok());
}

TEST(ReplyRoom, WhoGivesUpLetsTheNextThrough) {
  ReplyRoom room(10);
  auto first = *room.Take(8, {});
  std::stop_source stop;
  std::thread large([&] { EXPECT_FALSE(room.Take(9, stop.get_token()).ok()); });
  std::thread small([&] { EXPECT_TRUE(room.Take(2, {}).ok()); });
  stop.request_stop();
  large.join();
  small.join();
}

TEST(ReplyRoom, AShareOutlivesItsRoom) {
  std::shared_ptr<ReplyRoom::Share> share;
  {
    ReplyRoom room(10);
    share = *room.Take(5, {});
  }
  share->Keep(1);
}

}  // namespace
}  // namespace kiln::control
