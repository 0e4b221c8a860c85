#include "worker/exec/host_files.h"

#include <gtest/gtest.h>

namespace kiln::worker::exec {
namespace {

std::string Conf(std::string_view text, bool host_network = false,
                 const std::optional<DnsOptions>& dns = {}) {
  StatusOr<std::string> made = ResolvConfText(text, dns, host_network);
  return made.ok() ? *made : made.status().message();
}

TEST(HostsText, NamesTheSandbox) {
  EXPECT_EQ(HostsText("", {}),
            "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  EXPECT_EQ(HostsText("me", {{"db", "10.0.0.1"}}),
            "127.0.0.1\tlocalhost me\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n");
}

TEST(ResolvConfText, LoopbackServersGoUnlessTheNetworkIsTheHosts) {
  EXPECT_EQ(Conf("nameserver 127.0.0.1\nnameserver 192.0.2.53\n"), "nameserver 192.0.2.53\n");
  EXPECT_EQ(Conf("nameserver 127.0.0.1\n", true), "nameserver 127.0.0.1\n");
}

TEST(ResolvConfText, PublicServersWhenNoneAreLeft) {
  EXPECT_EQ(Conf(""),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\n"
            "nameserver 2001:4860:4860::8844\n");
}

TEST(ResolvConfText, LastSearchCountsAndOptionsAddUp) {
  EXPECT_EQ(Conf("# c\nsearch a b\noptions ndots:2\ndomain c\noptions edns0\nnameserver ::2\n"
                 "sortlist 10.0.0.0\nnameserver bad\n"),
            "nameserver ::2\nsearch c\noptions ndots:2 edns0\nsortlist 10.0.0.0\n");
}

TEST(ResolvConfText, ConfiguredValuesReplaceTheHosts) {
  DnsOptions dns{{"127.0.0.9"}, {"attempts:1"}, {"x", "."}};
  EXPECT_EQ(Conf("nameserver 192.0.2.1\nsearch a\n", false, dns),
            "nameserver 127.0.0.9\nsearch x\noptions attempts:1\n");
}

}  // namespace
}  // namespace kiln::worker::exec
