// Join: one rtnetlink message makes both ends where they belong; the rest are ioctls.
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/strings.h"
#include "worker/netns/netns.h"

namespace kiln::worker::netns {
namespace {

// A message of rtnetlink (rtnetlink(7)): structures and attributes, each padded to four bytes.
class Message {
 public:
  template <typename T>
  void Add(const T& part) {
    bytes_.append(reinterpret_cast<const char*>(&part), sizeof part);
    Pad();
  }
  void Attribute(uint16_t type, std::string_view value) {
    size_t start = Open(type);
    bytes_.append(value);
    Close(start);
  }
  // An attribute made of what is added until Close.
  size_t Open(uint16_t type) {
    rtattr header = {};
    header.rta_type = type;
    size_t start = bytes_.size();
    bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
    return start;
  }
  void Close(size_t start) {
    auto length = static_cast<uint16_t>(bytes_.size() - start);
    std::memcpy(&bytes_[start + offsetof(rtattr, rta_len)], &length, sizeof length);
    Pad();
  }
  std::string& Finish() {
    auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(&bytes_[offsetof(nlmsghdr, nlmsg_len)], &length, sizeof length);
    return bytes_;
  }

 private:
  void Pad() { bytes_.resize((bytes_.size() + 3) & ~size_t{3}); }
  std::string bytes_;
};

std::string_view NameBytes(const std::string& name) { return {name.c_str(), name.size() + 1}; }

std::string MakePair(const LinkEnd& first, const LinkEnd& second) {
  Message message;
  nlmsghdr header = {};
  header.nlmsg_type = RTM_NEWLINK;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
  message.Add(header);
  message.Add(ifinfomsg{});
  message.Attribute(IFLA_IFNAME, NameBytes(first.name));
  size_t link = message.Open(IFLA_LINKINFO);
  message.Attribute(IFLA_INFO_KIND, "veth");
  size_t data = message.Open(IFLA_INFO_DATA);
  size_t peer = message.Open(VETH_INFO_PEER);
  message.Add(ifinfomsg{});
  message.Attribute(IFLA_IFNAME, NameBytes(second.name));
  const auto ns = static_cast<uint32_t>(second.ns);
  message.Attribute(IFLA_NET_NS_FD, {reinterpret_cast<const char*>(&ns), sizeof ns});
  message.Close(peer);
  message.Close(data);
  message.Close(link);
  return std::move(message.Finish());
}

// Sends a request to the kernel; its acknowledgement carries an errno.
Status Ask(const std::string& request) {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return ErrnoStatus(errno, "netlink socket");
  if (::send(socket.get(), request.data(), request.size(), 0) < 0) {
    return ErrnoStatus(errno, "netlink send");
  }
  alignas(nlmsghdr) char answer[8192];
  const ssize_t got = ::recv(socket.get(), answer, sizeof answer, 0);
  if (got < 0) return ErrnoStatus(errno, "netlink receive");
  nlmsghdr header = {};
  nlmsgerr result = {};
  if (static_cast<size_t>(got) < NLMSG_HDRLEN + sizeof result.error) {
    return DataLossError("netlink: short answer");
  }
  std::memcpy(&header, answer, sizeof header);
  if (header.nlmsg_type != NLMSG_ERROR) return DataLossError("netlink: unexpected answer");
  std::memcpy(&result.error, answer + NLMSG_HDRLEN, sizeof result.error);
  return result.error == 0 ? OkStatus() : ErrnoStatus(-result.error, "make veth pair");
}

Status SetUp(int socket, const std::string& name) {
  ifreq request = {};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0) return ErrnoStatus(errno, name);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) return ErrnoStatus(errno, name);
  return OkStatus();
}

Status SetAddress(int socket, unsigned long what, const std::string& name, uint32_t address) {
  ifreq request = {};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  std::memcpy(&request.ifr_addr, &in, sizeof in);
  if (::ioctl(socket, what, &request) != 0) {
    return ErrnoStatus(errno, StrCat("address of ", name));
  }
  return OkStatus();
}

Status Configure(const LinkEnd& end, int prefix) {
  return RunIn(end.ns, [&]() -> Status {
    UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return ErrnoStatus(errno, "socket");
    const uint32_t mask = prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix);
    RETURN_IF_ERROR(SetAddress(socket.get(), SIOCSIFADDR, end.name, end.address));
    RETURN_IF_ERROR(SetAddress(socket.get(), SIOCSIFNETMASK, end.name, mask));
    RETURN_IF_ERROR(SetUp(socket.get(), end.name));
    return SetUp(socket.get(), "lo");
  });
}

}  // namespace

Status Join(const LinkEnd& first, const LinkEnd& second, int prefix) {
  for (const LinkEnd* end : {&first, &second}) {
    if (end->name.empty() || end->name.size() >= IFNAMSIZ) {
      return InvalidArgumentError(StrCat("invalid interface name ", Quote(end->name)));
    }
  }
  RETURN_IF_ERROR(RunIn(first.ns, [&] { return Ask(MakePair(first, second)); }));
  RETURN_IF_ERROR(Configure(first, prefix));
  return Configure(second, prefix);
}

}  // namespace kiln::worker::netns
