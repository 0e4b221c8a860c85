#include "worker/exec/runtime_spec.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "worker/exec/container_edits.h"
#include "worker/exec/seccomp_profile.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kTracingSocketPath = "/dev/otel-grpc.sock";
constexpr const char* kDefaultCapabilities[] = {
    "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",  "CAP_FOWNER",  "CAP_MKNOD",
    "CAP_NET_RAW", "CAP_SETGID",      "CAP_SETUID",  "CAP_SETFCAP", "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"};
constexpr const char* kMaskedPaths[] = {
    "/proc/acpi",        "/proc/asound",      "/proc/kcore",       "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/sys/firmware",     "/sys/devices/virtual/powercap", "/proc/scsi"};
constexpr const char* kReadonlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

bool Under(std::string_view path, std::string_view dir) {
  return path == dir ||
         (path.size() > dir.size() && path.substr(0, dir.size()) == dir && path[dir.size()] == '/');
}

SpecMount Make(std::string destination, std::string type, std::string source,
               std::vector<std::string> options) {
  return {std::move(destination), {std::move(type), std::move(source), std::move(options)}};
}

std::vector<SpecMount> BaseMounts(const SpecInput& input) {
  const bool insecure = input.meta->insecure;
  const char* access = insecure ? "rw" : "ro";
  std::vector<SpecMount> mounts;
  if (input.no_process_sandbox) {
    mounts.push_back(Make("/proc", "bind", "/proc", {"rbind"}));
  } else {
    mounts.push_back(Make("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  }
  mounts.push_back(
      Make("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push_back(Make("/dev/pts", "devpts", "devpts",
                        {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  mounts.push_back(Make("/dev/shm", "tmpfs", "shm",
                        {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  mounts.push_back(Make("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(Make("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}));
  const std::vector<std::string> bind = {"nosuid", "noexec", "nodev", "rbind", "ro"};
  mounts.push_back(Make("/etc/resolv.conf", "bind", input.resolv_conf, bind));
  mounts.push_back(Make("/etc/hosts", "bind", input.hosts_file, bind));
  mounts.push_back(
      Make("/sys/fs/cgroup", "cgroup", "cgroup", {access, "nosuid", "noexec", "nodev"}));
  return mounts;
}

void RepeatLockedOptions(const SpecInput& input, cache::Mount* mount) {
  std::vector<std::string>& options = mount->options;
  auto has = [&](std::string_view option) {
    return std::find(options.begin(), options.end(), option) != options.end();
  };
  if (!input.locked_options || (!has("bind") && !has("rbind"))) return;
  for (std::string& option : input.locked_options(mount->source)) {
    if (!has(option)) options.push_back(std::move(option));
  }
}

// A later mount on the same place takes the place in the list of the earlier one.
std::vector<SpecMount> AllMounts(const SpecInput& input) {
  std::vector<SpecMount> mounts;
  auto add = [&](SpecMount mount) {
    for (SpecMount& known : mounts) {
      if (known.destination == mount.destination) {
        known = std::move(mount);
        return;
      }
    }
    mounts.push_back(std::move(mount));
  };
  std::vector<SpecMount> base = BaseMounts(input);
  if (input.edits != nullptr) EditMounts(*input.edits, &base);
  for (SpecMount& mount : base) add(std::move(mount));
  for (const SpecMount& mount : input.mounts) add(mount);
  if (!input.tracing_socket.empty()) {
    add(Make(std::string(kTracingSocketPath), "bind", input.tracing_socket, {"ro", "rbind"}));
  }
  if (input.rootless) {
    std::erase_if(mounts, [](const SpecMount& mount) {
      return mount.destination.starts_with("/sys");
    });
  }
  for (SpecMount& mount : mounts) RepeatLockedOptions(input, &mount.mount);
  return mounts;
}

ordered_json MountsJson(const SpecInput& input) {
  ordered_json out = ordered_json::array();
  for (const SpecMount& mount : AllMounts(input)) {
    ordered_json entry = {{"destination", mount.destination}};
    if (!mount.mount.type.empty()) entry["type"] = mount.mount.type;
    entry["source"] = mount.mount.source;
    if (!mount.mount.options.empty()) entry["options"] = mount.mount.options;
    out.push_back(std::move(entry));
  }
  return out;
}

// In the place of the seccomp section until the spec is text. No text of a user's can look
// like it: quotes in those are escaped.
constexpr std::string_view kSeccompSection = "<default>";

// The section is always the same, and most of the spec.
const std::string& SeccompText(const std::string& architecture) {
  static std::mutex mutex;
  static std::map<std::string, std::string> texts;
  std::lock_guard lock(mutex);
  auto [text, made] = texts.try_emplace(architecture);
  if (made) text->second = DefaultSeccompProfile(architecture).dump();
  return text->second;
}

std::string_view EnvName(std::string_view entry) { return entry.substr(0, entry.find('=')); }

std::vector<std::string> Environment(const SpecInput& input) {
  std::vector<std::string> env;
  for (const std::string& entry : input.meta->env) {
    if (entry.find('=') != std::string::npos) env.push_back(entry);
  }
  if (input.tracing_socket.empty()) {
    return env;
  }
  const std::string tracing[] = {
      "OTEL_TRACES_EXPORTER=otlp",
      StrCat("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=unix://", kTracingSocketPath),
      "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc"};
  for (const std::string& entry : tracing) {
    bool known = std::any_of(input.meta->env.begin(), input.meta->env.end(),
                             [&](const std::string& e) { return EnvName(e) == EnvName(entry); });
    if (!known) env.push_back(entry);
  }
  if (!input.traceparent.empty()) env.push_back(StrCat("TRACEPARENT=", input.traceparent));
  return env;
}

ordered_json Capabilities(const SpecInput& input) {
  std::vector<std::string> base(std::begin(kDefaultCapabilities), std::end(kDefaultCapabilities));
  ordered_json out;
  if (!input.meta->insecure) {
    for (const char* set : {"bounding", "effective", "permitted"}) out[set] = base;
    return out;
  }
  std::vector<std::string> all = base;
  all.insert(all.end(), input.host_capabilities.begin(), input.host_capabilities.end());
  for (const char* set : {"bounding", "effective", "permitted"}) out[set] = all;
  for (const char* set : {"inheritable", "ambient"}) out[set] = input.host_capabilities;
  return out;
}

ordered_json UserJson(const ContainerUser& user) {
  std::vector<uint32_t> gids = user.additional_gids;
  if (std::find(gids.begin(), gids.end(), user.gid) == gids.end()) {
    gids.insert(gids.begin(), user.gid);
  }
  return {{"uid", user.uid}, {"gid", user.gid}, {"additionalGids", gids}};
}

ordered_json ProcessJson(const SpecInput& input) {
  const ProcessMeta& meta = *input.meta;
  ordered_json process = {{"user", UserJson(input.user)},
                          {"args", meta.args},
                          {"cwd", meta.cwd},
                          {"capabilities", Capabilities(input)}};
  if (meta.tty) process["terminal"] = true;
  std::vector<std::string> env = Environment(input);
  if (!env.empty()) process["env"] = env;
  for (const Ulimit& limit : meta.ulimits) {
    process["rlimits"].push_back({{"type", StrCat("RLIMIT_", ToUpper(limit.name))},
                                  {"hard", static_cast<uint64_t>(limit.hard)},
                                  {"soft", static_cast<uint64_t>(limit.soft)}});
  }
  if (!input.apparmor_profile.empty() && !meta.insecure) {
    process["apparmorProfile"] = input.apparmor_profile;
  }
  return process;
}

ordered_json Resources(const SpecInput& input) {
  ordered_json resources;
  if (input.meta->insecure) {
    resources["devices"] = {{{"allow", true}, {"type", "c"}, {"access", "rwm"}},
                            {{"allow", true}, {"type", "b"}, {"access", "rwm"}}};
  } else {
    resources["devices"] = ordered_json::array({{{"allow", false}, {"access", "rwm"}}});
  }
  if (!input.meta->limits) {
    return resources;
  }
  const Limits& limits = *input.meta->limits;
  if (limits.memory != 0) resources["memory"]["limit"] = limits.memory;
  if (limits.memory_swap != 0) resources["memory"]["swap"] = limits.memory_swap;
  if (limits.cpu_shares != 0) resources["cpu"]["shares"] = limits.cpu_shares;
  if (limits.cpu_quota != 0 || limits.cpu_period != 0) {
    resources["cpu"]["quota"] = limits.cpu_quota;
    resources["cpu"]["period"] = limits.cpu_period;
  }
  if (!limits.cpuset_cpus.empty()) resources["cpu"]["cpus"] = limits.cpuset_cpus;
  if (!limits.cpuset_mems.empty()) resources["cpu"]["mems"] = limits.cpuset_mems;
  return resources;
}

ordered_json Namespaces(const SpecInput& input) {
  ordered_json out = ordered_json::array();
  if (!input.no_process_sandbox) out.push_back({{"type", "pid"}});
  for (const char* type : {"ipc", "uts", "mount"}) out.push_back({{"type", type}});
  if (!input.network.host) {
    ordered_json network = {{"type", "network"}};
    if (!input.network.path.empty()) network["path"] = input.network.path;
    out.push_back(std::move(network));
  }
  if (input.cgroup_namespace) out.push_back({{"type", "cgroup"}});
  return out;
}

ordered_json Device(std::string path, const char* type, int64_t major, int64_t minor) {
  return {{"path", std::move(path)}, {"type", type}, {"major", major}, {"minor", minor}};
}

// Devices that an insecure step gets beside the runtime's own.
ordered_json InsecureDevices(const SpecInput& input) {
  ordered_json out = {Device("/dev/kmsg", "c", 1, 11), Device("/dev/cuse", "c", 10, 203),
                      Device("/dev/fuse", "c", 10, 229), Device("/dev/kvm", "c", 10, 232),
                      Device("/dev/net/tun", "c", 10, 200),
                      Device("/dev/loop-control", "c", 10, 237)};
  for (int64_t i = 0; i <= input.free_loop_device + 7; ++i) {
    out.push_back(Device(StrCat("/dev/loop", i), "b", 7, i));
  }
  return out;
}

template <typename Paths>
std::vector<std::string> Visible(const SpecInput& input, const Paths& paths) {
  std::vector<std::string> out;
  for (const char* path : paths) {
    if (!input.no_process_sandbox || !Under(path, "/proc")) out.emplace_back(path);
  }
  return out;
}

ordered_json LinuxJson(const SpecInput& input) {
  ordered_json out;
  if (!input.rootless) {
    out["resources"] = Resources(input);
    out["cgroupsPath"] = CgroupsPath(input);
  }
  out["namespaces"] = Namespaces(input);
  if (input.meta->insecure) {
    if (!input.in_user_namespace) out["devices"] = InsecureDevices(input);
    return out;
  }
  if (input.seccomp) out["seccomp"] = kSeccompSection;
  std::vector<std::string> masked = Visible(input, kMaskedPaths);
  std::vector<std::string> readonly = Visible(input, kReadonlyPaths);
  if (!masked.empty()) out["maskedPaths"] = masked;
  if (!readonly.empty()) out["readonlyPaths"] = readonly;
  return out;
}

}  // namespace

std::string CgroupsPath(const SpecInput& input) {
  if (input.rootless) {
    return "";
  }
  const std::string& own = input.meta->cgroup_parent;
  const std::string& parent = own.empty() ? input.cgroup_parent : own;
  if (Contains(parent, ".slice") && parent.back() == ':') {
    return parent + input.id;
  }
  return CleanPath(StrCat("/", parent, "/buildkit/", input.id));
}

StatusOr<std::string> MakeExecProcess(const std::string& spec, const ProcessMeta& meta,
                                      const std::optional<ContainerUser>& user) {
  ordered_json parsed = ordered_json::parse(spec, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("process")) {
    return InternalError("the container's spec cannot be read");
  }
  ordered_json process = std::move(parsed["process"]);
  if (user) process["user"] = UserJson(*user);
  process["terminal"] = meta.tty;
  process["args"] = meta.args;
  if (!meta.cwd.empty()) process["cwd"] = meta.cwd;
  if (!meta.env.empty()) process["env"] = meta.env;
  return process.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string MakeRuntimeSpec(const SpecInput& input) {
  ordered_json root = {{"path", input.root_path}};
  if (input.meta->readonly_root) root["readonly"] = true;
  ordered_json spec = {
      {"ociVersion", input.version},
      {"process", ProcessJson(input)},
      {"root", std::move(root)},
      {"hostname", input.meta->hostname.empty() ? "buildkitsandbox" : input.meta->hostname},
      {"mounts", MountsJson(input)},
      {"linux", LinuxJson(input)}};
  if (input.edits != nullptr) EditSpec(*input.edits, &spec);
  // Arguments and environment may hold any bytes; the runtime gets what JSON can say of them.
  std::string text = spec.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  const std::string section = StrCat("\"seccomp\":\"", kSeccompSection, "\"");
  if (size_t at = text.find(section); at != std::string::npos) {
    text.replace(at, section.size(), StrCat("\"seccomp\":", SeccompText(input.architecture)));
  }
  return text;
}

}  // namespace kiln::worker::exec
