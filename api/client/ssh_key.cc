// OpenSSL's keys to and from SSH's forms.
#include "api/client/ssh_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <array>
#include <vector>

#include "api/client/ssh_wire.h"
#include "base/digest.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr std::string_view kOpenSshBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kOpenSshEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic("openssh-key-v1\0", 15);

struct Curve {
  std::string_view ssh;     // name in SSH
  const char* openssl;      // name in OpenSSL
  const char* hash;
};
constexpr Curve kCurves[] = {{"nistp256", "prime256v1", "SHA256"},
                             {"nistp384", "secp384r1", "SHA384"},
                             {"nistp521", "secp521r1", "SHA512"}};

struct FreeBn {
  void operator()(BIGNUM* number) const { BN_clear_free(number); }
};
using BnPtr = std::unique_ptr<BIGNUM, FreeBn>;

BnPtr Number(std::string_view bytes) {
  return BnPtr(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                         static_cast<int>(bytes.size()), nullptr));
}

std::string Bytes(const BIGNUM* number) {
  std::string out(static_cast<size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string BnParam(const EVP_PKEY& key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(&key, name, &number) != 1) return "";
  return Bytes(BnPtr(number).get());
}

PkeyPtr FromParams(const char* type, OSSL_PARAM_BLD* build) {
  std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> params(OSSL_PARAM_BLD_to_param(build),
                                                                 OSSL_PARAM_free);
  std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) == 1) {
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, params.get());
  }
  return PkeyPtr(key);
}

PkeyPtr RsaKey(SshReader& reader) {
  std::string_view n = reader.String(), e = reader.String(), d = reader.String();
  std::string_view inverse = reader.String(), p = reader.String(), q = reader.String();
  (void)inverse;
  BnPtr numbers[] = {Number(n), Number(e), Number(d), Number(p), Number(q)};
  const char* names[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
                         OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2};
  std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> build(OSSL_PARAM_BLD_new(),
                                                                        OSSL_PARAM_BLD_free);
  // Without the factors: OpenSSL wants all of their derived numbers or none.
  for (size_t i = 0; i < 3; ++i) OSSL_PARAM_BLD_push_BN(build.get(), names[i], numbers[i].get());
  return FromParams("RSA", build.get());
}

PkeyPtr EcKey(SshReader& reader) {
  std::string_view curve = reader.String(), point = reader.String();
  BnPtr secret = Number(reader.String());
  for (const Curve& known : kCurves) {
    if (curve != known.ssh) continue;
    std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> build(OSSL_PARAM_BLD_new(),
                                                                          OSSL_PARAM_BLD_free);
    OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, known.openssl, 0);
    OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                     point.size());
    OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get());
    return FromParams("EC", build.get());
  }
  return nullptr;
}

PkeyPtr EdKey(SshReader& reader) {
  std::string_view public_half = reader.String(), both = reader.String();
  if (public_half.size() != 32 || both.size() != 64) return nullptr;
  return PkeyPtr(EVP_PKEY_new_raw_private_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(both.data()), 32));
}

StatusOr<PkeyPtr> ParseOpenSsh(std::string_view text) {
  size_t start = text.find(kOpenSshBegin) + kOpenSshBegin.size();
  size_t end = text.find(kOpenSshEnd, start);
  Status bad = UnknownError("ssh: invalid openssh private key format");
  if (end == std::string_view::npos) return UnknownError("ssh: no key found");
  std::string packed, body;
  for (char c : text.substr(start, end - start)) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) packed += c;
  }
  if (!Base64Decode(packed, &body) || !body.starts_with(kMagic)) return bad;
  SshReader outer(std::string_view(body).substr(kMagic.size()));
  std::string_view cipher = outer.String(), kdf = outer.String();
  outer.String();
  if (outer.U32() != 1) return bad;
  outer.String();
  std::string_view secret = outer.String();
  if (!outer.ok()) return bad;
  if (cipher != "none" || kdf != "none") {
    return UnknownError("ssh: this private key is passphrase protected");
  }
  SshReader inner(secret);
  if (inner.U32() != inner.U32()) return bad;
  std::string_view type = inner.String();
  PkeyPtr key = type == "ssh-ed25519"              ? EdKey(inner)
                : type == "ssh-rsa"                ? RsaKey(inner)
                : type.starts_with("ecdsa-sha2-") ? EcKey(inner)
                                                   : nullptr;
  if (!inner.ok()) return bad;
  if (key == nullptr) return UnknownError("ssh: unhandled key type");
  return key;
}

const Curve* CurveOf(const EVP_PKEY& key) {
  std::array<char, 64> name{};
  size_t length = 0;
  EVP_PKEY_get_utf8_string_param(&key, OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size(),
                                 &length);
  for (const Curve& known : kCurves) {
    if (std::string_view(name.data(), length) == known.openssl) return &known;
  }
  return nullptr;
}

std::string RawSignature(EVP_PKEY& key, std::string_view data, const char* hash) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  size_t length = 0;
  auto bytes = reinterpret_cast<const unsigned char*>(data.data());
  if (EVP_DigestSignInit_ex(context.get(), nullptr, hash, nullptr, nullptr, &key, nullptr) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, bytes, data.size()) != 1) {
    return "";
  }
  std::string out(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, bytes,
                     data.size()) != 1) {
    return "";
  }
  out.resize(length);
  return out;
}

// ASN.1 to SSH's pair of numbers.
std::string EcSignature(std::string_view der) {
  auto at = reinterpret_cast<const unsigned char*>(der.data());
  std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
  std::string out;
  if (pair == nullptr) return out;
  PutMpint(Bytes(ECDSA_SIG_get0_r(pair.get())), &out);
  PutMpint(Bytes(ECDSA_SIG_get0_s(pair.get())), &out);
  return out;
}

}  // namespace

void FreePkey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

StatusOr<PkeyPtr> ParsePrivateKey(std::string_view text) {
  if (Contains(text, kOpenSshBegin)) return ParseOpenSsh(text);
  if (!Contains(text, "-----BEGIN ")) return UnknownError("ssh: no key found");
  if (Contains(text, "ENCRYPTED")) {
    return UnknownError("ssh: this private key is passphrase protected");
  }
  std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all);
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (key == nullptr) return UnknownError("ssh: unsupported key type");
  return key;
}

std::string PublicBlob(const EVP_PKEY& key) {
  std::string out;
  switch (EVP_PKEY_get_base_id(&key)) {
    case EVP_PKEY_RSA:
      PutString("ssh-rsa", &out);
      PutMpint(BnParam(key, OSSL_PKEY_PARAM_RSA_E), &out);
      PutMpint(BnParam(key, OSSL_PKEY_PARAM_RSA_N), &out);
      return out;
    case EVP_PKEY_ED25519: {
      std::array<unsigned char, 32> raw{};
      size_t length = raw.size();
      EVP_PKEY_get_raw_public_key(&key, raw.data(), &length);
      PutString("ssh-ed25519", &out);
      PutString({reinterpret_cast<const char*>(raw.data()), length}, &out);
      return out;
    }
    case EVP_PKEY_EC: {
      const Curve* curve = CurveOf(key);
      std::array<unsigned char, 160> point{};
      size_t length = 0;
      if (curve == nullptr ||
          EVP_PKEY_get_octet_string_param(&key, OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                          point.size(), &length) != 1) {
        return "";
      }
      PutString(StrCat("ecdsa-sha2-", curve->ssh), &out);
      PutString(curve->ssh, &out);
      PutString({reinterpret_cast<const char*>(point.data()), length}, &out);
      return out;
    }
    default: return "";
  }
}

std::string SignBlob(EVP_PKEY& key, std::string_view data, uint32_t flags) {
  constexpr uint32_t kSha256 = 2, kSha512 = 4;
  std::string algorithm, signature, out;
  int type = EVP_PKEY_get_base_id(&key);
  if (type == EVP_PKEY_RSA) {
    bool large = (flags & kSha512) != 0, middle = (flags & kSha256) != 0;
    algorithm = large ? "rsa-sha2-512" : middle ? "rsa-sha2-256" : "ssh-rsa";
    signature = RawSignature(key, data, large ? "SHA512" : middle ? "SHA256" : "SHA1");
  } else if (type == EVP_PKEY_ED25519) {
    algorithm = "ssh-ed25519";
    signature = RawSignature(key, data, nullptr);
  } else if (const Curve* curve = CurveOf(key); type == EVP_PKEY_EC && curve != nullptr) {
    algorithm = StrCat("ecdsa-sha2-", curve->ssh);
    signature = EcSignature(RawSignature(key, data, curve->hash));
  }
  if (signature.empty()) return "";
  PutString(algorithm, &out);
  PutString(signature, &out);
  return out;
}

}  // namespace kiln::api
