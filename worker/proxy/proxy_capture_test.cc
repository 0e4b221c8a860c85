#include <gtest/gtest.h>

#include <map>

#include "worker/proxy/proxy_config.h"
#include "worker/proxy/recording.h"

namespace kiln::worker::proxy {
namespace {

// The reference's own example (solver/llbsolver/ops, TestLogProxyRequests).
TEST(ProxyCapture, LogsRequestsInOrder) {
  ProxyCapture capture;
  EXPECT_EQ(capture.LogText(), "");
  capture.Add(ProxyRequest{"GET", "https://example.com/file", "", 200});
  capture.Add(ProxyRequest{"POST", "https://xxxxx:xxxxx@example.com/token", "", 201});
  capture.Add(ProxyRequest{"GET", "https://example.com/unknown-status", "", 0});
  EXPECT_EQ(capture.LogText(),
            "proxy network requests:\n"
            "- GET https://example.com/file -> 200\n"
            "- POST https://xxxxx:xxxxx@example.com/token -> 201\n"
            "- GET https://example.com/unknown-status\n");
}

TEST(ProxyCapture, WhatRedirectsToAMaterialIsOne) {
  ProxyCapture capture;
  // In the order in which the second hop is known before the first.
  capture.Add(ProxyRequest{"GET", "http://b/", "http://c/", 302});
  capture.Add(ProxyRequest{"GET", "http://a/", "http://b/", 301});
  capture.Add(ProxyRequest{"GET", "http://x/", "http://nowhere/", 302});
  capture.Add(ProxyRequest{"GET", "http://loop/", "http://loop/", 302});
  const Digest digest = Digest::Of("body");
  capture.Add(ProxyMaterial{"http://c/", digest});
  std::map<std::string, Digest> found;
  for (const ProxyMaterial& material : capture.Materials()) found[material.url] = material.digest;
  EXPECT_EQ(found, (std::map<std::string, Digest>{
                       {"http://a/", digest}, {"http://b/", digest}, {"http://c/", digest}}));
}

struct Case {
  std::string method;
  int status;
  bool range;
  bool whole;
  std::string reason;  // "" for none
  bool material;
};

TEST(Recording, SaysWhyAnAnswerIsNoMaterial) {
  const Case cases[] = {
      {"GET", 200, false, true, "", true},
      {"GET", 302, false, true, "", false},
      {"GET", 404, false, true, "unsuccessful_response", false},
      {"GET", 200, false, false, "body_read_failed", false},
      {"GET", 404, false, false, "body_read_failed", false},
      {"GET", 206, false, true, "partial_response", false},
      {"GET", 200, true, true, "partial_response", false},
      {"POST", 200, false, true, "method_not_materializable", false},
      {"HEAD", 404, true, false, "method_not_materializable", false},
  };
  for (const Case& c : cases) {
    auto capture = std::make_shared<ProxyCapture>();
    {
      Recording recording(capture, c.method, "http://u:p@host:80/", c.range);
      recording.Answer(c.status, "");
      recording.Piece("bo");
      recording.Piece("dy");
      if (c.whole) recording.Whole();
    }
    const auto gaps = capture->Gaps();
    ASSERT_EQ(gaps.size(), c.reason.empty() ? 0U : 1U) << c.method << c.status;
    if (!gaps.empty()) {
      EXPECT_EQ(gaps[0].reason, c.reason);
    }
    const auto materials = capture->Materials();
    ASSERT_EQ(materials.size(), c.material ? 1U : 0U) << c.method << c.status;
    if (c.material) {
      EXPECT_EQ(materials[0].url, "http://xxxxx:xxxxx@host/");
      EXPECT_EQ(materials[0].digest, Digest::Of("body"));
    }
    ASSERT_EQ(capture->Requests().size(), 1U);
    EXPECT_EQ(capture->Requests()[0].status, c.status);
  }
}

TEST(Recording, ServersThatCannotBeReachedAreNoted) {
  auto capture = std::make_shared<ProxyCapture>();
  Recording(capture, "GET", "https://gone.invalid/", false).NoAnswer();
  ASSERT_EQ(capture->Gaps().size(), 1U);
  EXPECT_EQ(capture->Gaps()[0].reason, "upstream_error");
  EXPECT_EQ(capture->LogText(), "proxy network requests:\n- GET https://gone.invalid/ -> 502\n");
}

}  // namespace
}  // namespace kiln::worker::proxy
