#include "worker/proxy/recording.h"

#include "worker/proxy/proxy_url.h"

namespace kiln::worker::proxy {
namespace {

constexpr int kBadGateway = 502;
constexpr int kPartialContent = 206;

}  // namespace

Recording::Recording(std::shared_ptr<ProxyCapture> capture, std::string method, std::string url,
                     bool partial)
    : capture_(std::move(capture)),
      method_(std::move(method)),
      url_(CaptureUrl(url)),
      partial_(partial) {}

Recording::~Recording() { Settle(/*whole=*/false); }

void Recording::NoAnswer() {
  if (capture_ == nullptr) return;
  capture_->Add(ProxyRequest{method_, url_, "", kBadGateway});
  capture_->Add(ProxyGap{method_, url_, "upstream_error"});
}

void Recording::Answer(int status, const std::string& redirect) {
  if (capture_ == nullptr) return;
  capture_->Add(ProxyRequest{method_, url_, redirect.empty() ? "" : CaptureUrl(redirect), status});
  status_ = status;
  partial_ = partial_ || status == kPartialContent;
}

// In the reference's words.
std::string Recording::Reason(bool whole) const {
  if (method_ != "GET") return "method_not_materializable";
  if (partial_) return "partial_response";
  if (!whole) return "body_read_failed";
  if (status_ >= 400) return "unsuccessful_response";
  return "";
}

void Recording::Settle(bool whole) {
  if (capture_ == nullptr || status_ == 0) return;
  std::string reason = Reason(whole);
  if (!reason.empty()) {
    capture_->Add(ProxyGap{method_, url_, std::move(reason)});
  } else if (status_ / 100 == 2) {
    capture_->Add(ProxyMaterial{url_, hash_.Finish()});
  }
  status_ = 0;
}

}  // namespace kiln::worker::proxy
