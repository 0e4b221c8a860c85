// The registry client against a small server in this process.
#include "oci/registry.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "oci/manifest.h"
#include "oci/registry_auth.h"
#include "oci/registry_hosts.h"
#include "oci/testing/http_server.h"

namespace kiln::oci {
namespace {

using Server = testing::HttpServer;
using Request = testing::ServedRequest;
using Answer = testing::ServedAnswer;

Answer Reply(unsigned status, std::string body = "",
             std::map<std::string, std::string> headers = {}) {
  return {status, std::move(body), std::move(headers)};
}

RegistryCall CallFor(const std::string& ref) {
  RegistryCall call;
  call.ref = ParseReference(ref).value_or(Reference{});
  return call;
}

TEST(Registry, ResolvesATag) {
  Digest digest = Digest::Of("m");
  Server server([&](const Request&) {
    return Reply(200, "m", {{"Content-Type", std::string(kOciManifest)},
                            {"Docker-Content-Digest", digest.text()}});
  });
  Registry registry({});
  auto found = registry.Resolve(CallFor(server.host() + "/a/b:t"));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->digest, digest);
  EXPECT_EQ(found->size, 1);
  EXPECT_EQ(found->media_type, kOciManifest);
  EXPECT_EQ(server.log(), std::vector<std::string>{"HEAD /v2/a/b/manifests/t"});
}

TEST(Registry, SaysThatAnImageIsNotFound) {
  Server server([](const Request&) { return Reply(404); });
  Registry registry({});
  std::string ref = server.host() + "/a:t";
  EXPECT_EQ(registry.Resolve(CallFor(ref)).status().message(), ref + ": not found");
}

TEST(Registry, SaysWhatItDialled) {
  Registry registry({});
  EXPECT_EQ(registry.Resolve(CallFor("127.0.0.1:1/a:t")).status().message(),
            "failed to do request: Head \"http://127.0.0.1:1/v2/a/manifests/t\": "
            "dial tcp 127.0.0.1:1: connect: connection refused");
}

TEST(Registry, FetchesATokenAndKeepsIt) {
  std::string self;
  Server server([&](const Request& request) {
    const std::string& target = request.target;
    if (target.starts_with("/token")) return Reply(200, R"({"token":"T","expires_in":100})");
    if (request.Header("authorization") == "Bearer T") return Reply(200, "blob");
    return Reply(401, "", {{"WWW-Authenticate", StrCat("Bearer realm=\"http://", self,
                                                       "/token\",service=\"s\"")}});
  });
  self = server.host();
  Registry registry({});
  Descriptor blob{.media_type = "x/y", .digest = Digest::Of("blob"), .size = 4};
  for (int i = 0; i < 2; ++i) {
    auto response = registry.Open(CallFor(self + "/a:t"), blob);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ((*response)->ReadBody(10).value_or(""), "blob");
  }
  std::string path = StrCat("GET /v2/a/blobs/", blob.digest.text());
  EXPECT_EQ(server.log(),
            (std::vector<std::string>{
                path, "GET /token?service=s&scope=repository%3Aa%3Apull", path, path}));
}

TEST(Registry, DoesNotSendCredentialsToAnotherHost) {
  std::string leaked = "none";
  Server other([&](const Request& request) {
    leaked = request.Header("authorization");
    return Reply(200, "far");
  });
  Server server([&](const Request& request) {
    if (request.Header("authorization").empty()) {
      return Reply(401, "", {{"WWW-Authenticate", "Basic realm=x"}});
    }
    return Reply(307, "", {{"Location", StrCat("http://", other.host(), "/data")}});
  });
  struct Auth : RegistryAuth {
    StatusOr<RegistryLogin> Login(const std::string&) override { return RegistryLogin{"u", "p"}; }
    StatusOr<RegistryToken> FetchToken(const TokenQuery&) override {
      return UnimplementedError("");
    }
    std::string identity() const override { return "u"; }
  };
  RegistryCall call = CallFor(server.host() + "/a:t");
  call.auth = std::make_shared<Auth>();
  Registry registry({});
  auto response = registry.Open(call, {.digest = Digest::Of("far"), .size = 3});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ((*response)->ReadBody(10).value_or(""), "far");
  EXPECT_EQ(leaked, "");
}

TEST(Registry, TriesAgainAfterPassingFailures) {
  int count = 0;
  Server server([&](const Request&) { return ++count < 3 ? Reply(503) : Reply(200, "b"); });
  Registry registry({});
  auto response = registry.Open(CallFor(server.host() + "/a:t"), {.digest = Digest::Of("b")});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(count, 3);
}

TEST(Registry, NoticesABodyThatIsCutOff) {
  Server server([](const Request&) { return Reply(200, "half", {{"Content-Length", "100"}}); });
  Registry registry({});
  auto response = registry.Open(CallFor(server.host() + "/a:t"), {.digest = Digest::Of("b")});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ((*response)->ReadBody(1000).status().message(), "unexpected EOF");
}

TEST(Registry, ReadsAPartOfABlob) {
  std::string range;
  unsigned status = 206;
  std::string body = "34";
  Server server([&](const Request& request) {
    range = request.Header("range");
    return Reply(status, body);
  });
  Registry registry({});
  auto read = [&] {
    return registry.ReadRange(CallFor(server.host() + "/a"), {.digest = Digest::Of("b")}, 3, 2);
  };
  EXPECT_EQ(read().value_or(""), "34");
  EXPECT_EQ(range, "bytes=3-4");
  body = "3";
  EXPECT_EQ(read().status().code(), StatusCode::kDataLoss);
  body = "345";
  EXPECT_FALSE(read().ok());
  status = 200;
  EXPECT_EQ(read().status().code(), StatusCode::kUnimplemented);
  status = 404;
  EXPECT_TRUE(IsNotFound(read().status()));
}

TEST(Registry, AsksTheMirrorFirstAndTellsItTheRegistry) {
  Server mirror([](const Request&) { return Reply(404); });
  Server server([](const Request&) {
    return Reply(200, "m", {{"Docker-Content-Digest", Digest::Of("m").text()}});
  });
  RegistryHosts hosts;
  hosts[server.host()].mirrors = {mirror.host() + "/prefix"};
  Registry registry(hosts);
  EXPECT_TRUE(registry.Resolve(CallFor(server.host() + "/a:t")).ok());
  EXPECT_EQ(mirror.log(), std::vector<std::string>{
                              StrCat("HEAD /v2/prefix/a/manifests/t?ns=", server.host())});
}

TEST(Registry, PushesABlobOnlyIfItIsMissing) {
  std::string received;
  Server server([&](const Request& request) {
    if (request.method == "HEAD") return Reply(received.empty() ? 404 : 200);
    if (request.method == "POST") return Reply(202, "", {{"Location", "/up?id=1"}});
    received = request.body;
    return Reply(201);
  });
  Registry registry({});
  std::string data = "data";
  Descriptor blob{.digest = Digest::Of(data), .size = 4};
  auto bytes = [&]() -> StatusOr<ReadFn> { return ReadFrom(data); };
  for (int i = 0; i < 2; ++i) {
    Status status = registry.PushBlob(CallFor(server.host() + "/a:t"), blob, bytes);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(received, data);
  EXPECT_EQ(server.log().size(), 4u);
}

TEST(Registry, TakesABlobFromAnotherRepositoryOfTheRegistryWhereItMay) {
  for (bool may : {true, false}) {
    std::string received;
    Server server([&](const Request& request) {
      if (request.method == "HEAD") return Reply(404);
      if (request.method == "POST" && may) return Reply(201);
      if (request.method == "POST") return Reply(202, "", {{"Location", "/up"}});
      received = request.body;
      return Reply(201);
    });
    Registry registry({});
    std::string data = "data";
    Descriptor blob{.digest = Digest::Of(data), .size = 4};
    auto bytes = [&]() -> StatusOr<ReadFn> { return ReadFrom(data); };
    Status status = registry.PushBlob(CallFor(server.host() + "/a:t"), blob, bytes, "b/c");
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(received, may ? "" : data);
    ASSERT_GE(server.log().size(), 2u);
    EXPECT_EQ(server.log()[1], StrCat("POST /v2/a/blobs/uploads/?mount=sha256%3A",
                                      Digest::Of(data).text().substr(7), "&from=b/c"));
  }
}

class ReferrersTest : public ::testing::Test {
 protected:
  // What is said of a manifest by a registry that answers so, by path.
  StatusOr<std::vector<Descriptor>> Ask(std::map<std::string, Answer> answers) {
    Server server([&](const Request& request) {
      auto answer = answers.find(request.target);
      return answer == answers.end() ? Reply(404) : answer->second;
    });
    Registry registry({});
    auto found = registry.Referrers(CallFor(server.host() + "/a:t"), subject_);
    log_ = server.log();
    return found;
  }
  static std::string IndexOf(const std::string& artifact) {
    Index index{.media_type = std::string(kOciIndex)};
    index.manifests.push_back({.media_type = std::string(kOciManifest),
                               .digest = Digest::Of(artifact),
                               .size = 1,
                               .artifact_type = artifact});
    return IndexJson(index);
  }
  Digest subject_ = Digest::Of("subject");
  std::string list_ = StrCat("/v2/a/referrers/", subject_.text());
  std::string tag_ = StrCat("/v2/a/manifests/sha256-", subject_.hex());
  std::vector<std::string> log_;
};

TEST_F(ReferrersTest, TheRegistryKeepsAList) {
  auto found = Ask({{list_, Reply(200, IndexOf("x/list"))}, {tag_, Reply(200, IndexOf("x/tag"))}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().artifact_type, "x/list");
  EXPECT_EQ(log_, std::vector<std::string>{"GET " + list_});
}

TEST_F(ReferrersTest, OrClientsKeepItUnderATag) {
  auto found = Ask({{tag_, Reply(200, IndexOf("x/tag"))}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().artifact_type, "x/tag");
}

TEST_F(ReferrersTest, NoneIsNoError) {
  auto found = Ask({});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->empty());
  // A registry that does not know the question may say anything.
  EXPECT_TRUE(Ask({{list_, Reply(400)}}).ok());
}

TEST_F(ReferrersTest, WhatIsRefusedOrNoListIsAnError) {
  EXPECT_FALSE(Ask({{tag_, Reply(403)}}).ok());
  auto garbage = Ask({{list_, Reply(200, "[]")}});
  EXPECT_TRUE(garbage.status().message().starts_with("failed to decode referrers index: "))
      << garbage.status();
}

TEST(ParseChallenges, ReadsSeveralSchemes) {
  auto found = ParseChallenges(R"(Bearer realm="https://r/t?a=b,c",service=s, Basic realm="x\"y")");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].parameters.at("realm"), "https://r/t?a=b,c");
  EXPECT_EQ(found[1].scheme, "basic");
  EXPECT_EQ(found[1].parameters.at("realm"), "x\"y");
}

TEST(EndpointsFor, SpeaksPlainHttpOnLoopbackOnly) {
  EXPECT_EQ(EndpointsFor({}, "localhost:5000", false, false)[0].base, "http://localhost:5000/v2");
  EXPECT_EQ(EndpointsFor({}, "r.example", false, false)[0].base, "https://r.example/v2");
  EXPECT_EQ(EndpointsFor({}, "docker.io", false, false)[0].base,
            "https://registry-1.docker.io/v2");
  Endpoint insecure = EndpointsFor({}, "r.example", true, true)[0];
  EXPECT_EQ(insecure.base, "https://r.example/v2");
  EXPECT_EQ(insecure.fallback_base, "http://r.example/v2");
  EXPECT_TRUE(insecure.tls.skip_verify);
}

TEST(Url, ResolvesRelativeLocations) {
  Url base = ParseUrl("http://h:1/a/b?c").value_or(Url{});
  EXPECT_EQ(ResolveUrl(base, "/x").value_or(Url{}).Text(), "http://h:1/x");
  EXPECT_EQ(ResolveUrl(base, "x").value_or(Url{}).Text(), "http://h:1/a/x");
  EXPECT_EQ(ResolveUrl(base, "https://o/y").value_or(Url{}).Text(), "https://o/y");
  EXPECT_FALSE(ParseUrl("ftp://x").ok());
  EXPECT_FALSE(ParseUrl("http://x/a b").ok());
}

}  // namespace
}  // namespace kiln::oci
