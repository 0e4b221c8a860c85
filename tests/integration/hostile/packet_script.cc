// See packet_script.h.
#include "tests/integration/hostile/packet_script.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "api/proto/session/fsutil_stat.pb.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "base/strings.h"

namespace kiln {
namespace {

using ::fsutil::types::Packet;

constexpr size_t kPiece = 64 << 10;

uint32_t ModeOf(std::string_view word) {
  uint32_t type = word.front() == 'd' ? 1U << 31 : word.front() == 'l' ? 1U << 27 : 0;
  return type | static_cast<uint32_t>(std::strtoul(std::string(word.substr(1)).c_str(), nullptr, 8));
}

class Script {
 public:
  explicit Script(const PacketEnds& ends) : ends_(ends) {}

  bool Do(const std::string& line) {
    std::vector<std::string> words;
    for (std::string_view word : StrSplit(line, ' ')) words.emplace_back(word);
    words.resize(5);
    const std::string& verb = words[0];
    if (verb == "stat") return Stat(words[1], ModeOf(words[2]), Number(words[3]), words[4]);
    if (verb == "stats") return Stats(Number(words[1]), words[2]);
    if (verb == "end") return Send(Packet::PACKET_STAT);
    if (verb == "data") return Send(Packet::PACKET_DATA, Number(words[1]), words[2]);
    if (verb == "done") return Send(Packet::PACKET_DATA, Number(words[1]));
    if (verb == "bytes") return Bytes(Number(words[1]), Number(words[2]));
    if (verb == "req") return Send(Packet::PACKET_REQ, Number(words[1]));
    if (verb == "fin") return Send(Packet::PACKET_FIN);
    if (verb == "err") return Send(Packet::PACKET_ERR, 0, words[1]);
    if (verb == "asked") return Until([&](const Packet&) { return asked_ >= Number(words[1]); });
    if (verb == "list") {
      return Until([](const Packet& p) {
        return p.type() == Packet::PACKET_STAT && !p.has_stat();
      });
    }
    if (verb == "answer") {
      return Until([](const Packet& p) {
        return p.type() == Packet::PACKET_FIN || p.type() == Packet::PACKET_ERR;
      });
    }
    if (verb == "hang") return Hang();
    if (verb == "vanish") ::_exit(0);
    std::fprintf(stderr, "no such word: %s\n", line.c_str());
    std::exit(2);
  }

 private:
  static int64_t Number(const std::string& word) { return std::atoll(word.c_str()); }

  bool Send(Packet::PacketType type, int64_t id = 0, const std::string& data = "") {
    Packet packet;
    packet.set_type(type);
    packet.set_id(static_cast<uint32_t>(id));
    packet.set_data(data);
    return ends_.write(packet);
  }
  bool Stat(const std::string& path, uint32_t mode, int64_t size, const std::string& link) {
    Packet packet;
    packet.set_type(Packet::PACKET_STAT);
    packet.mutable_stat()->set_path(path);
    packet.mutable_stat()->set_mode(mode);
    packet.mutable_stat()->set_size(size);
    packet.mutable_stat()->set_linkname(link);
    return ends_.write(packet);
  }
  bool Stats(int64_t count, const std::string& prefix) {
    char name[32];
    for (int64_t i = 0; i < count; ++i) {
      std::snprintf(name, sizeof name, "%012lld", static_cast<long long>(i));
      if (!Stat(StrCat(prefix, name), 0644, 0, "")) return false;
    }
    return true;
  }
  bool Bytes(int64_t id, int64_t count) {
    std::string piece(kPiece, 'x');
    for (int64_t sent = 0; sent < count; sent += static_cast<int64_t>(kPiece)) {
      if (!Send(Packet::PACKET_DATA, id, piece)) return false;
    }
    return true;
  }
  bool Until(const std::function<bool(const Packet&)>& done) {
    Packet packet;
    packet.set_type(Packet::PACKET_DATA);
    while (!done(packet)) {
      if (!ends_.read(&packet)) return false;
      if (packet.type() == Packet::PACKET_REQ) ++asked_;
      if (packet.type() == Packet::PACKET_ERR) {
        std::printf("peer: %s\n", packet.data().c_str());
        std::fflush(stdout);
      }
    }
    return true;
  }
  bool Hang() {
    while (!ends_.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return false;
  }

  const PacketEnds& ends_;
  int64_t asked_ = 0;
};

}  // namespace

void RunPacketScript(const std::vector<std::string>& script, const PacketEnds& ends) {
  Script run(ends);
  for (const std::string& line : script) {
    if (!run.Do(line)) return;
  }
}

}  // namespace kiln
