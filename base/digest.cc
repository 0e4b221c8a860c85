#include "base/digest.h"

#include <openssl/evp.h>

#include <algorithm>

namespace kiln {
namespace {

bool IsHex(std::string_view text) {
  for (char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

size_t HexLength(std::string_view algorithm) {
  if (algorithm == "sha256") return 64;
  if (algorithm == "sha384") return 96;
  if (algorithm == "sha512") return 128;
  return 0;
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  // Named by EVP_sha256(), the algorithm would be looked up each time.
  static const EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  KILN_CHECK(EVP_DigestInit_ex(state_->context, algorithm, nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(const Sha256& other) : state_(std::make_unique<State>()) {
  KILN_CHECK(EVP_MD_CTX_copy_ex(state_->context, other.state_->context) == 1);
}
Sha256& Sha256::operator=(const Sha256& other) {
  if (this != &other) {
    KILN_CHECK(EVP_MD_CTX_copy_ex(state_->context, other.state_->context) == 1);
  }
  return *this;
}
void Sha256::Update(std::string_view bytes) {
  KILN_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}
void Sha256::Update(std::span<const std::byte> bytes) {
  KILN_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}
std::array<uint8_t, 32> Sha256::FinishRaw() const {
  State copy;
  std::array<uint8_t, 32> raw{};
  KILN_CHECK(EVP_MD_CTX_copy_ex(copy.context, state_->context) == 1);
  KILN_CHECK(EVP_DigestFinal_ex(copy.context, raw.data(), nullptr) == 1);
  return raw;
}
Digest Sha256::Finish() const { return Digest::FromRaw(FinishRaw()); }

namespace {

bool IsLowerAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// algorithm[.+_-algorithm…]:encoded
bool IsDigestForm(std::string_view text) {
  const size_t colon = text.find(':');
  bool separated = true;
  for (const char c : text.substr(0, colon)) {
    if (!IsLowerAlnum(c) && (separated || std::string_view(".+_-").find(c) == text.npos)) {
      return false;
    }
    separated = !IsLowerAlnum(c);
  }
  const std::string_view encoded = text.substr(colon + 1);
  return !separated && std::all_of(encoded.begin(), encoded.end(), [](char c) {
    return IsLowerAlnum(c) || (c >= 'A' && c <= 'Z') || c == '=' || c == '_' || c == '-';
  });
}

}  // namespace

StatusOr<Digest> Digest::Parse(std::string_view text) {
  size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return InvalidArgumentError("invalid checksum digest format");
  }
  size_t length = HexLength(text.substr(0, colon));
  if (length == 0) {
    return InvalidArgumentError(IsDigestForm(text) ? "unsupported digest algorithm"
                                                   : "invalid checksum digest format");
  }
  std::string_view hex = text.substr(colon + 1);
  if (hex.size() != length) {
    return InvalidArgumentError("invalid checksum digest length");
  }
  if (!IsHex(hex)) {
    return InvalidArgumentError("invalid checksum digest format");
  }
  return Digest(std::string(text));
}

Digest Digest::Of(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Digest Digest::FromRaw(std::span<const uint8_t, 32> raw) {
  return Digest(StrCat("sha256:", HexEncode(std::string_view(
                                      reinterpret_cast<const char*>(raw.data()), raw.size()))));
}

std::string_view Digest::algorithm() const {
  return std::string_view(text_).substr(0, text_.find(':'));
}

std::string_view Digest::hex() const {
  size_t colon = text_.find(':');
  return colon == std::string::npos ? std::string_view() : std::string_view(text_).substr(colon + 1);
}

Digest ChainId(std::span<const DiffId> diff_ids) {
  Digest chain;
  for (const DiffId& diff_id : diff_ids) {
    chain = chain.empty() ? diff_id.digest
                          : Digest::Of(StrCat(chain.text(), " ", diff_id.digest.text()));
  }
  return chain;
}

std::string HexEncode(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) {
    out.push_back(kDigits[(c >> 4) & 15]);
    out.push_back(kDigits[c & 15]);
  }
  return out;
}

StatusOr<std::string> HexDecode(std::string_view hex) {
  if (hex.size() % 2 != 0 || !IsHex(hex)) {
    return InvalidArgumentError("invalid hex");
  }
  auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<char>(value(hex[i]) * 16 + value(hex[i + 1])));
  }
  return out;
}

}  // namespace kiln
