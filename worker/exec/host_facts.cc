#include "worker/exec/host_facts.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <charconv>

#include "base/file.h"
#include "base/strings.h"
#include "base/user_namespace.h"

namespace kiln::worker::exec {
namespace {

// By bit number.
constexpr const char* kCapabilityNames[] = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"};

// The value of a "Name:\tvalue" line of /proc/self/status; "" if there is none.
std::string StatusLine(std::string_view status, std::string_view name) {
  for (std::string_view line : StrSplit(status, '\n')) {
    if (line.starts_with(name)) return std::string(TrimSpace(line.substr(name.size())));
  }
  return "";
}

std::vector<std::string> CapabilitiesOf(std::string_view hex) {
  uint64_t bits = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), bits, 16);
  std::vector<std::string> names;
  for (size_t bit = 0; bit < std::size(kCapabilityNames); ++bit) {
    if ((bits >> bit & 1) != 0) names.emplace_back(kCapabilityNames[bit]);
  }
  return names;
}

std::string Architecture() {
  utsname name = {};
  ::uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

}  // namespace

HostFacts ReadHostFacts() {
  HostFacts facts;
  std::string status = ReadFile("/proc/self/status").value_or("");
  facts.architecture = Architecture();
  facts.capabilities = CapabilitiesOf(StatusLine(status, "CapEff:"));
  facts.seccomp = !StatusLine(status, "Seccomp:").empty();
  facts.in_user_namespace = InUserNamespace();
  facts.cgroup_namespace = PathExists("/proc/self/ns/cgroup") &&
                           PathExists("/sys/fs/cgroup/cgroup.subtree_control");
  facts.apparmor = PathExists("/sys/kernel/security/apparmor") &&
                   ReadFile("/sys/module/apparmor/parameters/enabled").value_or("").starts_with("Y");
  facts.selinux = PathExists("/sys/fs/selinux/enforce");
  return facts;
}

int64_t FreeLoopDevice() {
  constexpr unsigned long kLoopCtlGetFree = 0x4C82;
  StatusOr<UniqueFd> control = OpenFile("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (!control.ok()) return 0;
  int device = ::ioctl(control->get(), kLoopCtlGetFree);
  return device < 0 ? 0 : device;
}

}  // namespace kiln::worker::exec
