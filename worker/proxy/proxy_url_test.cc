#include "worker/proxy/proxy_url.h"

#include <gtest/gtest.h>

namespace kiln::worker::proxy {
namespace {

std::string Requested(std::string_view target, std::string_view host, std::string_view tunnel) {
  StatusOr<Url> url = RequestUrl(target, host, tunnel);
  return url.ok() ? url->ToString() : "error";
}

TEST(ProxyUrl, TargetsOfRequests) {
  EXPECT_EQ(Requested("http://a.example/x?y", "other", ""), "http://a.example/x?y");
  EXPECT_EQ(Requested("https://a.example:8443/", "", ""), "https://a.example:8443/");
  EXPECT_EQ(Requested("/x", "a.example:81", ""), "http://a.example:81/x");
  EXPECT_EQ(Requested("/x", "lie.example", "a.example:443"), "https://a.example:443/x");
  EXPECT_EQ(Requested("http://[::1]:80/", "", ""), "http://[::1]:80/");
}

TEST(ProxyUrl, NonsenseIsNoTarget) {
  for (std::string_view target :
       {"", "*", "x", "ftp://a.example/", "http://", "http:///x", "http://a b/", "//a.example/",
        "file:///etc/passwd", "http://a,DNS:b/", "http://a.example:99999/",
        "http://a.example:x/"}) {
    EXPECT_EQ(Requested(target, "", ""), "error") << target;
  }
  EXPECT_EQ(Requested("/x", "", ""), "error");
  EXPECT_EQ(Requested("http://b.example/", "", "a.example:443"), "error");
  EXPECT_EQ(Requested(std::string("http://") + std::string(300, 'a'), "", ""), "error");
}

std::string Connected(std::string_view text) {
  StatusOr<Authority> authority = ParseAuthority(text);
  return authority.ok() ? authority->host + "|" + authority->port : "error";
}

TEST(ProxyUrl, AuthoritiesOfTunnels) {
  EXPECT_EQ(Connected("a.example:443"), "a.example|443");
  EXPECT_EQ(Connected("a.example"), "a.example|443");
  EXPECT_EQ(Connected("10.0.0.1:8443"), "10.0.0.1|8443");
  EXPECT_EQ(Connected("[::1]:443"), "::1|443");
  EXPECT_EQ(Connected("[::1]"), "::1|443");
  for (std::string_view text : {"", ":443", "a:", "a:0", "a:70000", "a:b", "[::1", "a/b:443",
                                "http://a", "a,IP:1.2.3.4:443", "a\r\nX: y:443"}) {
    EXPECT_EQ(Connected(text), "error") << text;
  }
}

TEST(ProxyUrl, WhatTheOriginIsAsked) {
  auto target = [](std::string_view text) { return OriginTarget(*ParseUrl(text)); };
  EXPECT_EQ(target("http://a"), "/");
  EXPECT_EQ(target("http://a/b%2Fc?d=e%20f#g"), "/b%2Fc?d=e%20f");
  EXPECT_EQ(target("http://a/?"), "/?");
}

// RFC 3986, 5.4: the examples that a Location can be.
TEST(ProxyUrl, RedirectsAreRelativeToWhatWasAsked) {
  const Url base = *ParseUrl("http://a/b/c/d?q");
  EXPECT_EQ(RedirectUrl(base, ""), "");
  EXPECT_EQ(RedirectUrl(base, "https://x/y"), "https://x/y");
  EXPECT_EQ(RedirectUrl(base, "//g"), "http://g");
  EXPECT_EQ(RedirectUrl(base, "/g"), "http://a/g");
  EXPECT_EQ(RedirectUrl(base, "g"), "http://a/b/c/g");
  EXPECT_EQ(RedirectUrl(base, "./g"), "http://a/b/c/g");
  EXPECT_EQ(RedirectUrl(base, "g/"), "http://a/b/c/g/");
  EXPECT_EQ(RedirectUrl(base, "?y"), "http://a/b/c/d?y");
  EXPECT_EQ(RedirectUrl(base, "g?y"), "http://a/b/c/g?y");
  EXPECT_EQ(RedirectUrl(base, "../g"), "http://a/b/g");
  EXPECT_EQ(RedirectUrl(base, "../../g"), "http://a/g");
  EXPECT_EQ(RedirectUrl(base, "../../../g"), "http://a/g");
  EXPECT_EQ(RedirectUrl(base, ".."), "http://a/b/");
  EXPECT_EQ(RedirectUrl(*ParseUrl("http://a"), "g"), "http://a/g");
}

TEST(ProxyUrl, WhatIsKeptHasNoSecrets) {
  EXPECT_EQ(CaptureUrl("http://user:secret@a.example:80/x"), "http://xxxxx:xxxxx@a.example/x");
  EXPECT_EQ(CaptureUrl("https://a.example:443/"), "https://a.example/");
  EXPECT_EQ(CaptureUrl("https://a.example:80/"), "https://a.example:80/");
  EXPECT_EQ(CaptureUrl("https://[::1]:443/"), "https://[::1]/");
  EXPECT_EQ(CaptureUrl("://"), "://");
}

}  // namespace
}  // namespace kiln::worker::proxy
