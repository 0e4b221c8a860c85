// Recording: one request and its answer, noted in the capture whatever becomes of it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::worker::proxy {

// Used by one thread.
class Recording {
 public:
  // `capture` may be null. `partial`: the request asks for a part of the body.
  Recording(std::shared_ptr<ProxyCapture> capture, std::string method, std::string url,
            bool partial);
  ~Recording();  // an answer that did not end has a gap
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  void NoAnswer();
  void Answer(int status, const std::string& redirect);
  void Piece(std::string_view body) {
    if (capture_ != nullptr) hash_.Update(body);
  }
  // The body is complete.
  void Whole() { Settle(/*whole=*/true); }

 private:
  void Settle(bool whole);
  std::string Reason(bool whole) const;

  std::shared_ptr<ProxyCapture> capture_;
  const std::string method_;
  const std::string url_;
  bool partial_;
  int status_ = 0;  // 0: nothing to settle
  Sha256 hash_;
};

}  // namespace kiln::worker::proxy
