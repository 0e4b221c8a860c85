// See ssh_filter.h. The framing is draft-miller-ssh-agent's: length, type, body.
#include "api/client/ssh_filter.h"

namespace kiln::api {
namespace {

constexpr char kRequestIdentities = 11;
constexpr char kSignRequest = 13;
constexpr size_t kMaxRequest = 256 << 10;
constexpr std::string_view kFailure("\0\0\0\1\5", 5);

}  // namespace

Status SshFilter::Pass(std::string_view bytes, std::string* pass, std::string* refused) {
  pass->clear();
  rest_ += bytes;
  while (rest_.size() >= 5) {
    size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(rest_[i]);
    if (length == 0 || length > kMaxRequest) return InvalidArgumentError("bad agent request");
    if (rest_.size() < 4 + length) return OkStatus();
    bool allowed = rest_[4] == kRequestIdentities || rest_[4] == kSignRequest;
    if (allowed) {
      pass->append(rest_, 0, 4 + length);
    } else {
      refused->append(kFailure);
    }
    rest_.erase(0, 4 + length);
  }
  return OkStatus();
}

}  // namespace kiln::api
