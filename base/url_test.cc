// URLs as Go reads and writes them; expectations follow RFC 3986 and Go's documentation.
#include "base/url.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

std::string Error(std::string_view text) { return ParseUrl(text).status().message(); }

TEST(Url, SplitsAllParts) {
  const StatusOr<Url> url = ParseUrl("HTTPS://us%40er:p%3Aw@Host:8443/a%20b/c?x=1&y#fr%20ag");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(*url->user, "us@er");
  EXPECT_EQ(*url->password, "p:w");
  EXPECT_EQ(url->host, "Host:8443");
  EXPECT_EQ(url->HostName(), "Host");
  EXPECT_EQ(url->Port(), "8443");
  EXPECT_EQ(url->path, "/a b/c");
  EXPECT_EQ(url->raw_query, "x=1&y");
  EXPECT_EQ(url->fragment, "fr ag");
}

TEST(Url, WritesBackWhatItRead) {
  for (const char* text : {"https://us%40er:p%3Aw@host:1/a%20b?x=1#f", "http://[::1]:80/x",
                           "ssh://git@h/p", "mailto:x", "file:///a/b", "unix:/run/x", "/a/b",
                           "http://h/%2Fx", "http://h?", "//h/x", "http://h/[x]"}) {
    const StatusOr<Url> url = ParseUrl(text);
    ASSERT_TRUE(url.ok()) << text << url.status();
    EXPECT_EQ(url->ToString(), text);
  }
}

TEST(Url, ErrorsAreInGosWords) {
  EXPECT_EQ(Error(":x"), "parse \":x\": missing protocol scheme");
  EXPECT_EQ(Error("a b:c"), "parse \"a b:c\": first path segment in URL cannot contain colon");
  EXPECT_EQ(Error("http://h:x/"), "parse \"http://h:x/\": invalid port \":x\" after host");
  EXPECT_EQ(Error("http://a b/"), "parse \"http://a b/\": invalid character \" \" in host name");
  EXPECT_EQ(Error("http://h/%zz"), "parse \"http://h/%zz\": invalid URL escape \"%zz\"");
  EXPECT_EQ(Error("http://[::1/"), "parse \"http://[::1/\": missing ']' in host");
  EXPECT_EQ(Error("http://a\nb/"),
            "parse \"http://a\\nb/\": net/url: invalid control character in URL");
}

TEST(Url, QueriesKeepOrderAndSkipBadPairs) {
  const UrlQuery query = ParseUrlQuery("a=1&b=x+y&a=%32&bad=%&c;d=1&e");
  EXPECT_EQ(query.at("a"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(query.at("b"), std::vector<std::string>{"x y"});
  EXPECT_EQ(query.at("e"), std::vector<std::string>{""});
  EXPECT_EQ(query.size(), 3u);
  EXPECT_EQ(EncodeUrlQuery(query), "a=1&a=2&b=x+y&e=");
}

}  // namespace
}  // namespace kiln
