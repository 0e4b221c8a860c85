// The flags as one table; CLI11 reads them, the table prints them.
#include "cmd/buildkitd/flags.h"

#include <grp.h>
#include <strings.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

#include "base/platform.h"
#include "base/user_namespace.h"
#include "cmd/buildkitd/gc_defaults.h"
#include "cmd/buildkitd/user_defaults.h"
#include "cmd/buildkitd/version.h"

namespace kiln::buildkitd {
namespace {

enum class Kind { kBool, kText, kList, kInt };

struct Flag {
  const char* name;
  Kind kind;
  const char* usage;
  std::string default_text = {};
  const char* env = nullptr;
  bool hidden = false;
};

std::vector<Flag> WorkerFlags(const Config& config) {
  const std::string oci_gc = FormatGcConfig(config.oci.gc, config.root);
  const std::string containerd_gc = FormatGcConfig(config.containerd.gc, config.root);
  return {
      {"containerd-worker", Kind::kText, "enable containerd workers (true/false/auto)", "auto"},
      {"containerd-worker-addr", Kind::kText, "containerd socket", config.containerd.address},
      {"containerd-worker-labels", Kind::kList, "labels to set on the worker (com.example.foo=bar)"},
      {"containerd-worker-platform", Kind::kList, "override supported platforms", {}, nullptr, true},
      {"containerd-worker-namespace", Kind::kText, "containerd namespace",
       config.containerd.containerd_namespace, nullptr, true},
      {"containerd-worker-runtime", Kind::kText, "containerd runtime",
       config.containerd.runtime_name, nullptr, true},
      {"containerd-worker-net", Kind::kText, "network of steps (auto, bridge, cni or host)", "auto"},
      {"containerd-cni-config-path", Kind::kText, "CNI configuration file",
       config.containerd.network.cni_config_path},
      {"containerd-cni-binary-dir", Kind::kText, "folder of CNI plugins",
       config.containerd.network.cni_binary_path},
      {"containerd-cni-pool-size", Kind::kInt, "network namespaces made ahead", "0"},
      {"containerd-worker-snapshotter", Kind::kText, "snapshotter name", "overlayfs"},
      {"containerd-worker-apparmor-profile", Kind::kText, "AppArmor profile of steps"},
      {"containerd-worker-selinux", Kind::kBool, "apply SELinux labels"},
      {"containerd-max-parallelism", Kind::kInt, "steps that may run at the same time", "0"},
      {"containerd-worker-rootless", Kind::kBool, "enable rootless mode"},
      {"containerd-worker-gc", Kind::kBool, "collect garbage automatically"},
      {"containerd-worker-gc-keepstorage", Kind::kText,
       "storage kept by GC, \"Reserved[,Free[,Maximum]]\" (MB)", containerd_gc},
      {"oci-worker", Kind::kText, "enable oci workers (true/false/auto)", "auto"},
      {"oci-worker-labels", Kind::kList, "labels to set on the worker (com.example.foo=bar)"},
      {"oci-worker-snapshotter", Kind::kText, "snapshotter name (overlayfs, native, …)", "auto"},
      {"oci-worker-proxy-snapshotter-path", Kind::kText, "socket of a proxy snapshotter, a path"},
      {"oci-worker-platform", Kind::kList, "override supported platforms"},
      {"oci-worker-net", Kind::kText, "network of steps (auto, bridge, cni or host)", "auto"},
      {"oci-cni-config-path", Kind::kText, "CNI configuration file",
       config.oci.network.cni_config_path},
      {"oci-cni-binary-dir", Kind::kText, "folder of CNI plugins",
       config.oci.network.cni_binary_path},
      {"oci-cni-pool-size", Kind::kInt, "network namespaces made ahead", "0"},
      {"oci-worker-binary", Kind::kText, "runtime program", config.oci.binary},
      {"oci-worker-apparmor-profile", Kind::kText, "AppArmor profile of steps"},
      {"oci-worker-selinux", Kind::kBool, "apply SELinux labels"},
      {"oci-max-parallelism", Kind::kInt, "steps that may run at the same time", "0"},
      {"oci-worker-rootless", Kind::kBool, "enable rootless mode"},
      {"oci-worker-no-process-sandbox", Kind::kBool,
       "use the host's PID namespace and procfs (steps can then kill host processes)"},
      {"oci-worker-gc", Kind::kBool, "collect garbage automatically"},
      {"oci-worker-gc-keepstorage", Kind::kText,
       "storage kept by GC, \"Reserved[,Free[,Maximum]]\" (MB)", oci_gc},
  };
}

std::vector<Flag> AllFlags(const Config& config) {
  std::vector<Flag> flags = {
      {"rootless", Kind::kBool,
       InUserNamespace() ? "defaults that suit a rootless container (default: true)"
                         : "defaults that suit a rootless container"},
      {"config", Kind::kText, "configuration file", DefaultConfigPath()},
      {"debug", Kind::kBool, "debug output in logs"},
      {"trace", Kind::kBool, "trace output in logs", {}, nullptr, true},
      {"root", Kind::kText, "state folder", config.root},
      {"addr", Kind::kList, "address to listen on (socket or tcp)", config.addresses[0]},
      {"log-format", Kind::kText, "json or text", "text"},
      {"log-level", Kind::kText, "log level", "info", "BUILDKITD_LOG_LEVEL"},
      {"group", Kind::kText, "group (name or gid) that owns Unix sockets",
       config.gid ? StrCat(*config.gid) : ""},
      {"debugaddr", Kind::kText, "debug address (0.0.0.0:6060)", config.debug_address,
       "BUILDKITD_DEBUGADDR"},
      {"tlscert", Kind::kText, "certificate", config.tls_cert},
      {"tlskey", Kind::kText, "key of the certificate", config.tls_key},
      {"tlscacert", Kind::kText, "CA that clients are verified against", config.tls_ca},
      {"allow-insecure-entitlement", Kind::kList,
       "allow entitlements: network.host, security.insecure, device"},
      {"proxy-network", Kind::kBool, "proxy network for all builds"},
      {"otel-socket-path", Kind::kText, "trace collector's socket"},
      {"cdi-disabled", Kind::kBool, "no Container Device Interface"},
      {"cdi-spec-dir", Kind::kList, "folders of CDI files"},
      {"save-cache-debug", Kind::kBool, "keep the plain text of cache keys"},
  };
  for (Flag& flag : WorkerFlags(config)) flags.push_back(std::move(flag));
  return flags;
}

// What was given on the command line or in the environment, by flag name.
class Given {
 public:
  std::map<std::string, std::vector<std::string>> values;

  bool set(const std::string& name) const { return values.contains(name); }
  std::string text(const std::string& name) const {
    auto found = values.find(name);
    return found == values.end() || found->second.empty() ? "" : found->second.back();
  }
  bool on(const std::string& name) const { return text(name) == "true"; }
  int64_t number(const std::string& name) const {
    int64_t value = 0;
    ParseInt64(text(name), &value);
    return value;
  }
  std::vector<std::string> list(const std::string& name) const {
    auto found = values.find(name);
    return found == values.end() ? std::vector<std::string>() : found->second;
  }
};

void PrintHelp(const std::vector<Flag>& flags) {
  std::string out = StrCat("NAME:\n   buildkitd - build daemon\n\nUSAGE:\n   buildkitd [options]\n",
                           "\nVERSION:\n   ", Version(), "\n\nOPTIONS:\n");
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    std::string spec = StrCat("--", flag.name);
    if (flag.kind == Kind::kInt) spec += " int";
    if (flag.kind == Kind::kText || flag.kind == Kind::kList) spec += " string";
    if (flag.kind == Kind::kList) spec += StrCat(" [ ", spec, " ]");
    std::string usage = flag.usage;
    if (!flag.default_text.empty()) {
      usage += flag.kind == Kind::kInt ? StrCat(" (default: ", flag.default_text, ")")
                                       : StrCat(" (default: \"", flag.default_text, "\")");
    }
    if (flag.env != nullptr) usage += StrCat(" [$", flag.env, "]");
    out += StrCat("   ", spec, spec.size() < 40 ? std::string(40 - spec.size(), ' ') : "",
                  "  ", usage, "\n");
  }
  out += "   --help, -h                                show help\n";
  out += "   --version, -v                             print the version\n";
  std::fputs(out.c_str(), stdout);
}

Status WrongValue(const Flag& flag, const std::string& value, std::string_view function) {
  return InvalidArgumentError(StrCat("invalid value ", Quote(value), " for flag -", flag.name,
                                     ": ", function, Quote(value), ": invalid syntax"));
}

Status CheckValue(const Flag& flag, std::string& value) {
  bool truth = false;
  int64_t number = 0;
  if (flag.kind == Kind::kBool) {
    if (!ParseBool(value, &truth)) {
      return InvalidArgumentError(StrCat("invalid value ", Quote(value), " for flag -", flag.name, ": parse error"));
    }
    value = truth ? "true" : "false";
  } else if (flag.kind == Kind::kInt && !ParseInt64(value, &number)) {
    return WrongValue(flag, value, "strconv.ParseInt: parsing ");
  }
  return OkStatus();
}

// CLI11 splits the arguments; our table says what there is. Long flags may have one dash.
StatusOr<Given> Split(int argc, const char* const* argv, const std::vector<Flag>& flags,
                      bool* help, bool* version) {
  CLI::App app;
  app.set_help_flag();
  std::map<std::string, std::vector<std::string>> raw;
  for (const Flag& flag : flags) {
    std::vector<std::string>& into = raw[flag.name];
    std::string name = StrCat("--", flag.name);
    if (flag.kind == Kind::kBool) {
      app.add_flag_function(name, [&into](std::int64_t) {})->multi_option_policy(
          CLI::MultiOptionPolicy::TakeLast);
    } else {
      app.add_option(name, into)->allow_extra_args(false)->expected(1, 1 << 20);
    }
  }
  app.add_flag("-h,--help", *help);
  app.add_flag("-v,--version", *version);
  Given given;
  std::vector<std::string> rest;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    std::string_view name = TrimPrefix(TrimPrefix(arg, "-"), "-");
    std::string_view key;
    std::string_view value;
    bool joined = StrCut(name, "=", &key, &value);
    auto flag = std::find_if(flags.begin(), flags.end(),
                             [&](const Flag& f) { return key == f.name; });
    if (flag != flags.end() && flag->kind == Kind::kBool && arg.starts_with("-")) {
      // Booleans take a value only behind "=", which CLI11 does not tell apart.
      given.values[flag->name] = {joined ? std::string(value) : "true"};
    } else if (flag != flags.end() && arg.starts_with("-") && !arg.starts_with("--")) {
      rest.push_back("-" + arg);
    } else {
      rest.push_back(std::move(arg));
    }
  }
  std::reverse(rest.begin(), rest.end());
  try {
    app.parse(rest);
  } catch (const CLI::ExtrasError&) {
    for (const std::string& arg : app.remaining()) {
      if (!arg.starts_with("-")) continue;
      std::string_view name = TrimPrefix(TrimPrefix(arg, "-"), "-");
      return InvalidArgumentError(
          StrCat("flag provided but not defined: -", name.substr(0, name.find('='))));
    }
  } catch (const CLI::Error&) {
    return InvalidArgumentError(StrCat("flag needs an argument: ", argv[argc - 1]));
  }
  for (auto& [name, values] : raw) {
    if (!values.empty()) given.values[name] = std::move(values);
  }
  for (const Flag& flag : flags) {
    const char* value = flag.env == nullptr ? nullptr : std::getenv(flag.env);
    if (value != nullptr && *value != '\0' && !given.set(flag.name)) {
      given.values[flag.name] = {value};
    }
    for (std::string& text : given.values[flag.name]) {
      RETURN_IF_ERROR(CheckValue(flag, text));
    }
    if (given.values[flag.name].empty()) given.values.erase(flag.name);
  }
  return given;
}

Status ApplyGroup(const std::string& group, Config* config) {
  int64_t gid = 0;
  if (group.empty()) return OkStatus();
  if (ParseInt64(group, &gid)) {
    config->gid = gid;
    return OkStatus();
  }
  const struct group* entry = ::getgrnam(group.c_str());
  if (entry == nullptr) return NotFoundError(StrCat("group: unknown group ", group));
  config->gid = entry->gr_gid;
  return OkStatus();
}

Status ApplyMainFlags(const Given& given, CommandLine* line) {
  Config& config = line->config;
  if (given.on("debug")) config.log_level = "debug";
  if (given.set("trace")) {
    line->warnings.emplace_back("--trace option is deprecated; use --log-level=trace instead");
    if (given.on("trace")) config.log_level = "trace";
  }
  const std::pair<const char*, std::string*> texts[] = {
      {"root", &config.root},           {"log-format", &config.log_format},
      {"log-level", &config.log_level}, {"debugaddr", &config.debug_address},
      {"tlscert", &config.tls_cert},    {"tlskey", &config.tls_key},
      {"tlscacert", &config.tls_ca},    {"otel-socket-path", &config.otel_socket_path}};
  for (const auto& [name, member] : texts) {
    if (given.set(name)) *member = given.text(name);
  }
  if (given.set("addr")) config.addresses = given.list("addr");
  if (given.set("allow-insecure-entitlement")) {
    config.entitlements = given.list("allow-insecure-entitlement");
    for (const std::string& name : config.entitlements) {
      if (name != "security.insecure" && name != "network.host" && name != "device") {
        return InvalidArgumentError(StrCat("invalid entitlement : ", name));
      }
    }
  }
  if (given.set("proxy-network")) config.proxy_network = given.on("proxy-network");
  if (given.set("cdi-disabled")) config.cdi_disabled = given.on("cdi-disabled");
  if (given.set("cdi-spec-dir")) config.cdi_spec_dirs = given.list("cdi-spec-dir");
  if (!config.uid) config.uid = ::getuid();
  if (!config.gid) config.gid = ::getgid();
  line->save_cache_debug = given.on("save-cache-debug");
  return ApplyGroup(given.text("group"), &config);
}

Status ApplyLabels(const std::vector<std::string>& labels, WorkerConfig* worker) {
  for (const std::string& label : labels) {
    std::string_view key;
    std::string_view value;
    if (!StrCut(label, "=", &key, &value)) {
      return InvalidArgumentError(StrCat("invalid value ", label));
    }
    worker->labels[std::string(key)] = std::string(value);
  }
  return OkStatus();
}

// In a user namespace the flag is on unless it says otherwise.
Status ApplyRootless(const Given& given, const std::string& prefix, WorkerConfig* worker) {
  if (given.set("rootless")) {
    worker->rootless = given.on("rootless");
  } else if (InUserNamespace()) {
    worker->rootless = true;
  }
  if (!given.set(prefix + "-rootless")) return OkStatus();
  if (!InUserNamespace() || ::geteuid() != 0) return PermissionDeniedError(std::string(kNotMappedRoot));
  worker->rootless = given.on(prefix + "-rootless");
  return OkStatus();
}

// Flags that both kinds of worker have; `p` is "oci" or "containerd".
Status ApplyWorkerFlags(const Given& given, const std::string& p, WorkerConfig* worker) {
  const std::string w = p + "-worker";
  if (given.set(w)) {
    std::string text = given.text(w);
    bool truth = false;
    if (text.empty() || ::strcasecmp(text.c_str(), "auto") == 0) {
      worker->enabled.reset();
    } else if (ParseBool(text, &truth)) {
      worker->enabled = truth;
    } else {
      return InvalidArgumentError(
          StrCat("strconv.ParseBool: parsing ", Quote(text), ": invalid syntax"));
    }
  }
  RETURN_IF_ERROR(ApplyLabels(given.list(w + "-labels"), worker));
  const std::pair<std::string, std::string*> texts[] = {
      {w + "-snapshotter", &worker->snapshotter},
      {w + "-net", &worker->network.mode},
      {p + "-cni-binary-dir", &worker->network.cni_binary_path},
      {w + "-binary", &worker->binary},
      {w + "-proxy-snapshotter-path", &worker->proxy_snapshotter_path},
      {w + "-apparmor-profile", &worker->apparmor_profile},
      {w + "-addr", &worker->address},
      {w + "-namespace", &worker->containerd_namespace},
      {w + "-runtime", &worker->runtime_name}};
  for (const auto& [name, member] : texts) {
    if (given.set(name)) *member = given.text(name);
  }
  if (given.set(p + "-cni-config-path")) {
    // The reference empties the oci worker's path here; the golden set pins that.
    worker->network.cni_config_path = p == "oci" ? "" : given.text(p + "-cni-config-path");
  }
  RETURN_IF_ERROR(ApplyRootless(given, w, worker));
  if (given.set(w + "-no-process-sandbox")) {
    worker->no_process_sandbox = given.on(w + "-no-process-sandbox");
  }
  if (given.set(w + "-platform")) worker->platforms = given.list(w + "-platform");
  if (given.set(w + "-gc")) worker->gc.gc = given.on(w + "-gc");
  if (given.set(w + "-gc-keepstorage")) {
    RETURN_IF_ERROR(ParseKeepStorage(given.text(w + "-gc-keepstorage"), &worker->gc));
  }
  if (given.set(w + "-selinux")) worker->selinux = given.on(w + "-selinux");
  if (given.set(p + "-cni-pool-size")) {
    worker->network.cni_pool_size = given.number(p + "-cni-pool-size");
  }
  if (given.set(p + "-max-parallelism")) {
    worker->max_parallelism = given.number(p + "-max-parallelism");
  }
  if (worker->rootless && worker->network.mode == "auto") worker->network.mode = "host";
  return OkStatus();
}

}  // namespace

StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  line.config = DefaultConfig();
  bool help = false;
  bool version = false;
  std::vector<Flag> flags = AllFlags(line.config);
  StatusOr<Given> given = Split(argc, argv, flags, &help, &version);
  if (!given.ok()) {
    std::printf("Incorrect Usage: %s\n\n", given.status().message().c_str());
    PrintHelp(flags);
    return given.status();
  }
  line.done = help || version;
  if (help) {
    PrintHelp(flags);
    return line;
  }
  if (version) {
    std::printf("buildkitd %s %s %s\n", std::string(VersionPackage()).c_str(),
                std::string(Version()).c_str(), std::string(VersionRevision()).c_str());
    return line;
  }
  std::string path = given->set("config") ? given->text("config") : DefaultConfigPath();
  ASSIGN_OR_RETURN(line.config, LoadConfig(path, line.config));
  if (line.config.debug) {
    line.warnings.emplace_back(
        "'debug' configuration option is deprecated, use 'log.level = \"debug\"' instead");
    if (line.config.log_level.empty()) line.config.log_level = "debug";
  }
  if (line.config.trace) {
    line.warnings.emplace_back(
        "'trace' configuration option is deprecated, use 'log.level = \"trace\"' instead");
    if (line.config.log_level.empty()) line.config.log_level = "trace";
  }
  RETURN_IF_ERROR(ApplyMainFlags(*given, &line));
  RETURN_IF_ERROR(ApplyWorkerFlags(*given, "oci", &line.config.oci));
  RETURN_IF_ERROR(ApplyWorkerFlags(*given, "containerd", &line.config.containerd));
  if (line.config.oci.snapshotter.empty()) line.config.oci.snapshotter = "auto";
  if (line.config.containerd.snapshotter.empty()) line.config.containerd.snapshotter = "overlayfs";
  if (line.config.oci.no_process_sandbox && !line.config.oci.rootless) {
    return InvalidArgumentError("can't enable NoProcessSandbox without Rootless");
  }
  if (line.config.max_registry_concurrency && *line.config.max_registry_concurrency <= 0) {
    return InvalidArgumentError(
        StrCat("maxRegistryConcurrency must be greater than zero; set to ",
               *line.config.max_registry_concurrency, " in the configuration file"));
  }
  return line;
}

}  // namespace kiln::buildkitd
