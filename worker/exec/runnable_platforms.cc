#include "worker/exec/runnable_platforms.h"

#include <elf.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

// An architecture and the instructions of `exit(0)` on it.
struct Machine {
  const char* name;  // Go's
  uint16_t elf;
  bool wide;  // 64 bits
  bool big;   // big-endian
  uint32_t flags;
  uint32_t words[3];              // instructions of 4 bytes
  std::string_view bytes = {};    // or others
};

using namespace std::string_view_literals;

const Machine kMachines[] = {
    {"amd64", EM_X86_64, true, false, 0, {}, "\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"sv},
    {"arm64", EM_AARCH64, true, false, 0, {0xd2800ba8, 0xd2800000, 0xd4000001}},
    {"riscv64", EM_RISCV, true, false, 0, {0x05d00893, 0x00000513, 0x00000073}},
    {"ppc64", EM_PPC64, true, true, 2, {0x38000001, 0x38600000, 0x44000002}},
    {"ppc64le", EM_PPC64, true, false, 2, {0x38000001, 0x38600000, 0x44000002}},
    {"s390x", EM_S390, true, true, 0, {0xa7290000, 0x0a010000}},
    {"386", EM_386, false, false, 0, {}, "\xb8\x01\x00\x00\x00\x31\xdb\xcd\x80"sv},
    {"mips64le", EM_MIPS, true, false, 0x80000000, {0x240213c2, 0x24040000, 0x0000000c}},
    {"mips64", EM_MIPS, true, true, 0x80000000, {0x240213c2, 0x24040000, 0x0000000c}},
    {"loong64", 258, true, false, 0x43, {0x0281740b, 0x02800004, 0x002b0000}},
    {"arm", EM_ARM, false, false, 0x05000000, {0xe3a07001, 0xe3a00000, 0xef000000}},
};

class Image {
 public:
  explicit Image(bool big) : big_(big) {}
  template <typename T>
  void Put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) {
      const size_t byte = big_ ? sizeof(T) - 1 - i : i;
      bytes_ += static_cast<char>(static_cast<uint64_t>(value) >> (8 * byte) & 0xff);
    }
  }
  void Address(uint64_t value, bool wide) {
    if (wide) {
      Put<uint64_t>(value);
    } else {
      Put<uint32_t>(static_cast<uint32_t>(value));
    }
  }
  void Bytes(std::string_view bytes) { bytes_ += bytes; }
  std::string Take() { return std::move(bytes_); }

 private:
  bool big_;
  std::string bytes_;
};

// One header, one segment that holds all of the file, then the code.
std::string Program(const Machine& machine) {
  constexpr uint64_t kBase = 0x400000;
  const bool wide = machine.wide;
  const uint64_t header = wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
  const uint64_t segment = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  const uint64_t size = header + segment + sizeof machine.words + machine.bytes.size();
  Image image(machine.big);
  image.Bytes({ELFMAG, SELFMAG});
  for (int byte : {wide ? ELFCLASS64 : ELFCLASS32, machine.big ? ELFDATA2MSB : ELFDATA2LSB,
                   EV_CURRENT, ELFOSABI_NONE}) {
    image.Put<uint8_t>(static_cast<uint8_t>(byte));
  }
  image.Bytes(std::string(8, '\0'));
  image.Put<uint16_t>(ET_EXEC);
  image.Put<uint16_t>(machine.elf);
  image.Put<uint32_t>(EV_CURRENT);
  image.Address(kBase + header + segment, wide);
  image.Address(header, wide);
  image.Address(0, wide);
  image.Put<uint32_t>(machine.flags);
  for (uint64_t value : {header, segment, uint64_t{1}, uint64_t{0}, uint64_t{0}, uint64_t{0}}) {
    image.Put<uint16_t>(static_cast<uint16_t>(value));
  }
  image.Put<uint32_t>(PT_LOAD);
  if (wide) image.Put<uint32_t>(PF_R | PF_X);
  for (uint64_t value : {uint64_t{0}, kBase, kBase, size, size}) image.Address(value, wide);
  if (!wide) image.Put<uint32_t>(PF_R | PF_X);
  image.Address(0x10000, wide);
  image.Bytes(machine.bytes);
  for (uint32_t word : machine.words) image.Put<uint32_t>(word);
  return image.Take();
}

// Nothing between fork and exec may take a lock.
bool RunsInRoot(const char* root) {
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    char* const arguments[] = {const_cast<char*>("/check"), nullptr};
    char* const environment[] = {nullptr};
    if (::chroot(root) == 0 && ::chdir("/") == 0) ::execve("/check", arguments, environment);
    ::_exit(127);
  }
  int state = 0;
  while (::waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(state) && WEXITSTATUS(state) == 0;
}

bool Runs(const Machine& machine) {
  StatusOr<std::string> made = MakeTempDir("/tmp", "kiln-check-");
  if (!made.ok()) return false;
  const TempDir root(*std::move(made));
  const std::string program = JoinPath(root.path(), "check");
  return WriteFileAtomic(program, Program(machine), 0700).ok() && RunsInRoot(root.path().c_str());
}

// Levels of x86-64 above the base that this machine has.
std::vector<std::string> Amd64Variants() {
#if defined(__x86_64__)
  bool v2 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
            __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  std::vector<std::string> variants;
  if (v2) variants.emplace_back("v2");
  if (v3) variants.emplace_back("v3");
  if (v4) variants.emplace_back("v4");
  return variants;
#else
  return {};
#endif
}

std::vector<Platform> Find() {
  const Platform own = DefaultPlatform();
  std::vector<Platform> all = {own};
  auto add = [&](const std::string& architecture, const std::string& variant = "") {
    Platform platform;
    platform.os = "linux";
    platform.architecture = architecture;
    platform.variant = variant;
    all.push_back(std::move(platform));
  };
  for (const Machine& machine : kMachines) {
    const std::string name = machine.name;
    const bool native = name == own.architecture;
    if (!native && Runs(machine)) add(name);
    if (name == "amd64" && native) {
      for (const std::string& variant : Amd64Variants()) add(name, variant);
    }
    if (name == "arm" && (native ? own.variant.empty() : all.back().architecture == name)) {
      add(name, "v6");
    }
  }
  return all;
}

}  // namespace

const std::vector<Platform>& RunnablePlatforms() {
  static const std::vector<Platform> platforms = Find();
  return platforms;
}

}  // namespace kiln::worker::exec
