// Reactors that hide gRPC's callback API: handlers are blocking code on their own
// thread, a client's cancel reaches them as a stop request at once.
//
// A reactor keeps itself alive until gRPC says OnDone and its handler is through.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <source_location>
#include <stop_token>
#include <utility>

#include "api/server/call_threads.h"
#include "api/tunnel/error_stack.h"
#include "base/moved_bytes.h"
#include "base/status.h"
#include "base/strings.h"

namespace kiln::api {

// Most failures of the reference carry no code of their own: clients print those
// texts without a prefix. Only these codes mean something to them.
inline Status ForClients(const Status& status) {
  // What a client said in a stream of its session keeps its code.
  std::string_view name = StatusCodeName(status.code());
  size_t quoted = status.message().find(StrCat("rpc error: code = ", name, " desc = "));
  size_t before = name.size() + 2;  // "NotFound: rpc error: …" was a single call
  if (quoted != std::string::npos &&
      (quoted < before || status.message().compare(quoted - before, name.size(), name) != 0)) {
    return status;
  }
  switch (status.code()) {
    case StatusCode::kOk:
    case StatusCode::kUnknown:
    case StatusCode::kCancelled:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kInternal: return status;
    case StatusCode::kUnimplemented:
      // Unless it was a client that lacks something, which the text says already.
      if (status.message().find("Unimplemented: ") == std::string::npos) return status;
      break;
    default: break;
  }
  Status plain(StatusCode::kUnknown, status.message());
  for (const StatusDetail& detail : status.details()) plain.AddDetail(detail.type_url, detail.bytes);
  return plain;
}

// One request, one response.
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  using Handler = std::function<Status(std::stop_token)>;
  // `handler` fills the response; request and response live until it returns.
  // `where` is what an error says of its origin.
  // `until_sent` is kept until the response has left.
  static grpc::ServerUnaryReactor* Start(
      CallThreads& threads, Handler handler,
      std::source_location where = std::source_location::current(),
      std::shared_ptr<void> until_sent = nullptr) {
    auto call = std::shared_ptr<UnaryCall>(new UnaryCall);
    call->self_ = call;
    call->until_sent_ = std::move(until_sent);
    threads.Run([call, where, handler = std::move(handler)] {
      call->Finish(ToGrpcWithStack(handler(call->stop_.get_token()), where));
    });
    return call.get();
  }
  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { self_.reset(); }

 private:
  UnaryCall() = default;
  std::stop_source stop_;
  std::shared_ptr<void> until_sent_;
  std::shared_ptr<UnaryCall> self_;
};

// Blocking writes over any reactor with StartWrite. Thread-safe.
template <typename Response>
class BlockingWriter {
 public:
  // Waits until gRPC has taken the message; false if the client is gone.
  template <typename Reactor>
  bool Write(Reactor& reactor, Response response) {
    std::lock_guard order(writers_);
    std::unique_lock lock(mutex_);
    if (broken_) return false;
    message_ = std::move(response);
    pending_ = true;
    reactor.StartWrite(&message_);
    changed_.wait(lock, [&] { return !pending_; });
    return !broken_;
  }
  void Done(bool ok) {
    std::lock_guard lock(mutex_);
    pending_ = false;
    broken_ = broken_ || !ok;
    changed_.notify_all();
  }
  void Break() {
    std::lock_guard lock(mutex_);
    broken_ = true;
  }

 private:
  std::mutex writers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Response message_;
  bool pending_ = false;
  bool broken_ = false;
};

// One request, a stream of responses.
template <typename Response>
class ServerStreamCall : public grpc::ServerWriteReactor<Response> {
 public:
  using Handler = std::function<Status(ServerStreamCall&, std::stop_token)>;
  static grpc::ServerWriteReactor<Response>* Start(
      CallThreads& threads, Handler handler,
      std::source_location where = std::source_location::current()) {
    auto call = std::shared_ptr<ServerStreamCall>(new ServerStreamCall);
    call->self_ = call;
    threads.Run([call, where, handler = std::move(handler)] {
      call->Finish(ToGrpcWithStack(handler(*call, call->stop_.get_token()), where));
    });
    return call.get();
  }
  bool Write(Response response) { return writer_.Write(*this, std::move(response)); }

  void OnWriteDone(bool ok) override { writer_.Done(ok); }
  void OnCancel() override {
    writer_.Break();
    stop_.request_stop();
  }
  void OnDone() override { self_.reset(); }

 private:
  ServerStreamCall() = default;
  BlockingWriter<Response> writer_;
  std::stop_source stop_;
  std::shared_ptr<ServerStreamCall> self_;
};

// Streams both ways. Read and Write may be used by two threads at once.
template <typename Request, typename Response>
class BidiCall : public grpc::ServerBidiReactor<Request, Response> {
 public:
  using Handler = std::function<Status(BidiCall&, std::stop_token)>;
  static grpc::ServerBidiReactor<Request, Response>* Start(
      CallThreads& threads, Handler handler,
      std::source_location where = std::source_location::current()) {
    auto call = std::shared_ptr<BidiCall>(new BidiCall);
    call->self_ = call;
    call->StartRead(&call->incoming_);
    threads.Run([call, where, handler = std::move(handler)] {
      call->Finish(ToGrpcWithStack(handler(*call, call->stop_.get_token()), where));
    });
    return call.get();
  }
  bool Write(Response response) { return writer_.Write(*this, std::move(response)); }
  // Blocks; false at the client's end or after EndReads.
  bool Read(Request* request) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || !received_.empty(); });
    if (received_.empty()) return false;
    *request = std::move(received_.front());
    received_.pop_front();
    // gRPC's window holds the rest back while nobody takes messages.
    if (paused_ && received_.size() < kReadAhead) {
      paused_ = false;
      this->StartRead(&incoming_);
    }
    return true;
  }
  void EndReads() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    if (!ok) {
      ended_ = true;
    } else {
      received_.push_back(std::move(incoming_));
      incoming_.Clear();
      paused_ = received_.size() >= kReadAhead;
      if (!paused_) this->StartRead(&incoming_);
    }
    changed_.notify_all();
    ForgetMovedBytes();  // secrets come this way, and gRPC's thread may wait for long now
  }
  void OnWriteDone(bool ok) override { writer_.Done(ok); }
  void OnCancel() override {
    writer_.Break();
    EndReads();
    stop_.request_stop();
  }
  void OnDone() override { self_.reset(); }

 private:
  static constexpr size_t kReadAhead = 16;
  BidiCall() = default;
  BlockingWriter<Response> writer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Request incoming_;
  std::deque<Request> received_;
  bool paused_ = false;
  bool ended_ = false;
  std::stop_source stop_;
  std::shared_ptr<BidiCall> self_;
};

// For methods that are not there yet: the reference's text for them.
inline grpc::Status Unimplemented(std::string_view method) {
  return grpc::Status(grpc::StatusCode::UNIMPLEMENTED,
                      StrCat("method ", method, " not implemented"));
}

}  // namespace kiln::api
