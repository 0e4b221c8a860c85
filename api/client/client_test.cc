// Unit tests of the client's keys, tokens and diagnosis; peers are sockets of the test.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "api/client/attachments.h"
#include "api/client/diagnosis.h"
#include "api/client/ssh_key.h"
#include "api/client/ssh_keyring.h"
#include "api/client/ssh_wire.h"
#include "api/client/token_fetch.h"
#include "api/client/token_seeds.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

// Made by ssh-keygen for this test.
constexpr char kEd25519[] =
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "QyNTUxOQAAACDNFFecfEgEoDsde0Bp0X9sjfhZXaHuOzy/iO8Bd/5uBgAAAIjz1i/l89Yv\n"
    "5QAAAAtzc2gtZWQyNTUxOQAAACDNFFecfEgEoDsde0Bp0X9sjfhZXaHuOzy/iO8Bd/5uBg\n"
    "AAAEArgE/5Mkb2HJJsEpgdRgWt7G2dAOF5yjc9Vh64r5FULM0UV5x8SASgOx17QGnRf2yN\n"
    "+Fldoe47PL+I7wF3/m4GAAAAAWMBAgME\n"
    "-----END OPENSSH PRIVATE KEY-----\n";
constexpr char kEd25519Public[] = "AAAAC3NzaC1lZDI1NTE5AAAAIM0UV5x8SASgOx17QGnRf2yN+Fldoe47PL+I7wF3/m4G";
constexpr char kEncrypted[] =
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABB3XxA5GJ\n"
    "QcTwgXBdt8CTqDAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIP+NBnffUcRG69XO\n"
    "kQb5XX9gcqKeCPAFM4IjuCIcspvWAAAAkKubNI4BiLSZJXqbhLlHPe91f/Cn0BylhIKe1s\n"
    "pmURzn7tRqQ4HEh1EQYAaE6uKJGIC/VdoAe7oRe9uEcGraxW0BGwai1wruLN5R84Sf7Mre\n"
    "iTNmreJO9Tkz4+B/WBEMRM3WDfhbcItvQ3iBnOxUSOmiSUvW6k6Oe6MmEwpaQFSCnHClYB\n"
    "M/KKCvuLo7uuNtiQ==\n"
    "-----END OPENSSH PRIVATE KEY-----\n";

std::string Unpacked(std::string_view text) {
  std::string bytes;
  Base64Decode(text, &bytes);
  return bytes;
}

std::string SignRequest(const std::string& blob, const std::string& data, uint32_t flags) {
  std::string request(1, '\x0d');
  PutString(blob, &request);
  PutString(data, &request);
  PutU32(flags, &request);
  return request;
}

// The algorithm and signature of an answer to a sign request.
std::pair<std::string, std::string> SignatureOf(const std::string& answer) {
  SshReader body(SshReader(answer).String());
  EXPECT_EQ(body.Take(1), "\x0e");
  SshReader signature(body.String());
  std::string algorithm(signature.String()), bytes(signature.String());
  EXPECT_TRUE(signature.ok());
  return {algorithm, bytes};
}

bool Verifies(EVP_PKEY* key, const std::string& data, const std::string& signature,
              const char* hash) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  EVP_DigestVerifyInit_ex(context.get(), nullptr, hash, nullptr, nullptr, key, nullptr);
  return EVP_DigestVerify(context.get(),
                          reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(data.data()),
                          data.size()) == 1;
}

std::string Pem(EVP_PKEY* key) {
  std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

TEST(SshKeyring, ListsThePublicHalfOfAnOpenSshKey) {
  SshKeyring keys;
  ASSERT_TRUE(keys.Add(kEd25519).ok());
  std::string answer = keys.Answer("\x0b");
  SshReader listed(SshReader(answer).String());
  EXPECT_EQ(listed.Take(1), "\x0c");
  EXPECT_EQ(listed.U32(), 1u);
  EXPECT_EQ(listed.String(), Unpacked(kEd25519Public));
}

TEST(SshKeyring, SignsWithEachKindOfKey) {
  struct {
    PkeyPtr key;
    uint32_t flags;
    const char* algorithm;
    const char* hash;
  } cases[] = {
      {PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048})), 4, "rsa-sha2-512", "SHA512"},
      {PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048})), 2, "rsa-sha2-256", "SHA256"},
      {PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")), 0, "ssh-ed25519", nullptr},
  };
  for (auto& c : cases) {
    SCOPED_TRACE(c.algorithm);
    SshKeyring keys;
    ASSERT_TRUE(keys.Add(Pem(c.key.get())).ok());
    auto [algorithm, signature] =
        SignatureOf(keys.Answer(SignRequest(PublicBlob(*c.key), "data", c.flags)));
    EXPECT_EQ(algorithm, c.algorithm);
    EXPECT_TRUE(Verifies(c.key.get(), "data", signature, c.hash));
    EXPECT_FALSE(Verifies(c.key.get(), "other", signature, c.hash));
  }
}

TEST(SshKeyring, AnEllipticSignatureIsAPairOfNumbers) {
  PkeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
  SshKeyring keys;
  ASSERT_TRUE(keys.Add(Pem(key.get())).ok());
  auto [algorithm, signature] =
      SignatureOf(keys.Answer(SignRequest(PublicBlob(*key), "data", 0)));
  EXPECT_EQ(algorithm, "ecdsa-sha2-nistp384");
  SshReader pair(signature);
  EXPECT_GE(pair.String().size(), 40u);
  EXPECT_GE(pair.String().size(), 40u);
  EXPECT_TRUE(pair.ok() && pair.empty());
}

TEST(SshKeyring, RefusesWhatItMustNotDoOrDoesNotKnow) {
  const std::string refused("\0\0\0\1\5", 5);
  SshKeyring keys;
  ASSERT_TRUE(keys.Add(kEd25519).ok());
  EXPECT_EQ(keys.Answer("\x11"), refused);  // add a key
  EXPECT_EQ(keys.Answer(""), refused);
  EXPECT_EQ(keys.Answer(SignRequest("other", "data", 0)), refused);
  EXPECT_EQ(keys.Answer(std::string("\x0d\0\0\1", 4)), refused);
}

TEST(SshKeyring, BadKeysAreNamedInTheReferencesWords) {
  SshKeyring keys;
  EXPECT_EQ(keys.Add("hello").message(), "ssh: no key found");
  EXPECT_EQ(keys.Add(kEncrypted).message(), "ssh: this private key is passphrase protected");
}

TEST(SshAgentConversation, RequestsMayComeInPieces) {
  SshKeyring keys;
  SshAgentConversation conversation(keys);
  std::string answers;
  ASSERT_TRUE(conversation.Feed(std::string_view("\0\0", 2), &answers).ok());
  ASSERT_TRUE(conversation.Feed(std::string_view("\0\1", 2), &answers).ok());
  EXPECT_EQ(answers, "");
  ASSERT_TRUE(conversation.Feed("\x0b", &answers).ok());
  EXPECT_EQ(answers, std::string("\0\0\0\5\x0c\0\0\0\0", 9));
  EXPECT_FALSE(conversation.Feed("\xff\xff\xff\xff", &answers).ok());
}

// Answers one connection after the other with fixed texts; keeps what was asked.
class FakePeer {
 public:
  explicit FakePeer(std::vector<std::string> answers) : answers_(std::move(answers)) {
    fd_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::listen(fd_.get(), 5);
    thread_ = std::thread([this] {
      for (const std::string& answer : answers_) {
        UniqueFd peer(::accept(fd_.get(), nullptr, nullptr));
        char buffer[4096];
        ssize_t n = ::read(peer.get(), buffer, sizeof buffer);
        asked_.emplace_back(buffer, n > 0 ? static_cast<size_t>(n) : 0);
        WriteAll(peer.get(), answer).IgnoreError();
        ::shutdown(peer.get(), SHUT_WR);
        while (::read(peer.get(), buffer, sizeof buffer) > 0) {
        }
      }
    });
  }
  ~FakePeer() { Join(); }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  std::string host() const { return StrCat("127.0.0.1:", port_); }
  const std::vector<std::string>& asked() {
    Join();
    return asked_;
  }

 private:
  std::vector<std::string> answers_, asked_;
  UniqueFd fd_;
  int port_ = 0;
  std::thread thread_;
};

std::string Http(std::string_view status, std::string_view body) {
  return StrCat("HTTP/1.1 ", status, "\r\nContent-Length: ", body.size(),
                "\r\nConnection: close\r\n\r\n", body);
}

TEST(FetchToken, CredentialsGoByPostFirstThenByGet) {
  FakePeer peer({Http("404 Not Found", "no"),
                 Http("200 OK", R"({"token":"t","expires_in":7,"issued_at":"2023-11-14T22:13:20Z"})")});
  auto token = FetchToken({StrCat("http://", peer.host(), "/token"), "svc", {"repository:a:pull"}},
                          {"user", "pass word", ""}, {});
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->token, "t");
  EXPECT_EQ(token->expires_in, 7);
  EXPECT_EQ(token->issued_at, 1700000000);
  ASSERT_EQ(peer.asked().size(), 2u);
  EXPECT_TRUE(peer.asked()[0].starts_with("POST /token HTTP/1.1\r\n")) << peer.asked()[0];
  EXPECT_TRUE(peer.asked()[1].starts_with("GET /token?scope=repository%3Aa%3Apull&service=svc HTTP/1.1"))
      << peer.asked()[1];
  EXPECT_TRUE(Contains(peer.asked()[1], "Basic dXNlcjpwYXNzIHdvcmQ=")) << peer.asked()[1];
}

TEST(FetchToken, AFailureNamesTheRequest) {
  FakePeer peer({Http("500 Internal Server Error", "")});
  std::string realm = StrCat("http://", peer.host(), "/token");
  auto token = FetchToken({realm, "svc", {}}, {}, {});
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.status().message(),
            StrCat("failed to fetch anonymous token: unexpected status from GET request to ", realm,
                   "?service=svc: 500 Internal Server Error"));
}

TEST(TokenSeed, IsKeptPerHost) {
  std::string dir = MakeTempDir(testing::TempDir(), "seeds-").value();
  setenv("DOCKER_CONFIG", dir.c_str(), 1);
  std::string first = TokenSeed("a.test").value();
  EXPECT_EQ(first.size(), 16u);
  EXPECT_EQ(TokenSeed("a.test").value(), first);
  EXPECT_NE(TokenSeed("b.test").value(), first);
  EXPECT_EQ(TokenSeed("a.test").value(), first);
  unsetenv("DOCKER_CONFIG");
  RemoveAll(dir).IgnoreError();
}

ConnectionOptions At(const FakePeer& peer) {
  ConnectionOptions options;
  options.address = "tcp://" + peer.host();
  return options;
}

TEST(Diagnosis, APeerThatSpeaksHttp1IsRecognised) {
  FakePeer peer({"HTTP/1.1 400 Bad Request\r\n\r\n"});
  EXPECT_EQ(DiagnoseConnection(At(peer)).message(),
            "connection error: desc = \"error reading server preface: http2: frame too large\"");
}

TEST(Diagnosis, APeerThatHangsUpIsRecognised) {
  FakePeer peer({""});
  EXPECT_EQ(DiagnoseConnection(At(peer)).message(),
            "connection error: desc = \"error reading server preface: EOF\"");
}

TEST(Diagnosis, SettingsAreAHealthyAnswer) {
  FakePeer peer({std::string("\0\0\0\4\0\0\0\0\0", 9)});
  EXPECT_TRUE(DiagnoseConnection(At(peer)).ok());
}

}  // namespace
}  // namespace kiln::api
