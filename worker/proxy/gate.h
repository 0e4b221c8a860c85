// Gate and RunOn: a coroutine waits for blocking work that may take longer than it lives.
//
// Internal to worker/proxy: includes Asio.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/job_pool.h"
#include "worker/proxy/any_stream.h"

namespace kiln::worker::proxy {

// The way into an io_context for other threads, until it is closed. Thread-safe.
class Gate {
 public:
  explicit Gate(asio::io_context& io) : io_(&io) {}
  void Post(std::function<void()> work) {
    std::lock_guard lock(mutex_);
    if (io_ != nullptr) asio::post(*io_, std::move(work));
  }
  // Nothing is posted after this.
  void Close() {
    std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  asio::io_context* io_;
};

// `work` must own all that it uses: it runs to its end even when nobody waits any more.
template <typename T>
asio::awaitable<T> RunOn(JobPool& pool, std::shared_ptr<Gate> gate, std::function<T()> work) {
  // Owned by this coroutine alone, so that the timer never outlives its io_context.
  struct Wait {
    explicit Wait(const asio::any_io_executor& executor) : timer(executor) {}
    asio::steady_timer timer;
    std::optional<T> result;
  };
  auto executor = co_await asio::this_coro::executor;
  auto wait = std::make_shared<Wait>(executor);
  wait->timer.expires_at(asio::steady_timer::time_point::max());
  pool.Submit([gate, weak = std::weak_ptr<Wait>(wait), work = std::move(work)] {
    auto result = std::make_shared<std::optional<T>>(work());
    gate->Post([weak, result] {
      std::shared_ptr<Wait> waiting = weak.lock();
      if (waiting == nullptr) return;
      waiting->result = std::move(*result);
      waiting->timer.cancel();
    });
  });
  while (!wait->result) co_await wait->timer.async_wait(kTuple);
  co_return std::move(*wait->result);
}

}  // namespace kiln::worker::proxy
