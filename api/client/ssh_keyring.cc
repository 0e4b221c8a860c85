// draft-miller-ssh-agent: requests 11 and 13.
#include "api/client/ssh_keyring.h"

#include "api/client/ssh_key.h"
#include "api/client/ssh_wire.h"

namespace kiln::api {
namespace {

constexpr char kFailure = 5;
constexpr char kRequestIdentities = 11;
constexpr char kIdentitiesAnswer = 12;
constexpr char kSignRequest = 13;
constexpr char kSignResponse = 14;
constexpr size_t kMaxRequest = 256 << 10;

}  // namespace

struct SshKeyring::Key {
  PkeyPtr key;
  std::string blob;
};

SshKeyring::SshKeyring() = default;
SshKeyring::~SshKeyring() = default;
SshKeyring::SshKeyring(SshKeyring&&) noexcept = default;
SshKeyring& SshKeyring::operator=(SshKeyring&&) noexcept = default;

Status SshKeyring::Add(std::string_view text) {
  ASSIGN_OR_RETURN(PkeyPtr key, ParsePrivateKey(text));
  std::string blob = PublicBlob(*key);
  if (blob.empty()) return UnknownError("ssh: unsupported key type");
  keys_.push_back({std::move(key), std::move(blob)});
  return OkStatus();
}

std::string SshKeyring::Answer(std::string_view request) const {
  std::string body(1, kFailure);
  SshReader reader(request.substr(std::min<size_t>(1, request.size())));
  char type = request.empty() ? '\0' : request.front();
  if (type == kRequestIdentities) {
    body[0] = kIdentitiesAnswer;
    PutU32(static_cast<uint32_t>(keys_.size()), &body);
    for (const Key& key : keys_) {
      PutString(key.blob, &body);
      PutString("", &body);  // no comment, as in the reference
    }
  } else if (type == kSignRequest) {
    std::string_view blob = reader.String(), data = reader.String();
    uint32_t flags = reader.U32();
    for (const Key& key : keys_) {
      if (!reader.ok() || key.blob != blob) continue;
      std::string signature = SignBlob(*key.key, data, flags);
      if (signature.empty()) break;
      body[0] = kSignResponse;
      PutString(signature, &body);
      break;
    }
  }
  std::string out;
  PutString(body, &out);
  return out;
}

Status SshAgentConversation::Feed(std::string_view bytes, std::string* answers) {
  rest_ += bytes;
  while (rest_.size() >= 4) {
    size_t length = SshReader(rest_).U32();
    if (length == 0 || length > kMaxRequest) return InvalidArgumentError("bad agent request");
    if (rest_.size() < 4 + length) return OkStatus();
    *answers += keys_.Answer(std::string_view(rest_).substr(4, length));
    rest_.erase(0, 4 + length);
  }
  return OkStatus();
}

}  // namespace kiln::api
