// The one place that knows TOML. Each key is read by name into its member; a
// wrong type is reported with the reference's name of the member.
#include "cmd/buildkitd/config.h"

#include <sys/stat.h>

#include <cmath>
#include <toml++/toml.h>

#include "base/file.h"
#include "cmd/buildkitd/toml_fault.h"

namespace kiln::buildkitd {
namespace {

std::string_view TomlTypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return "string";
    case toml::node_type::integer: return "integer";
    case toml::node_type::floating_point: return "float";
    case toml::node_type::boolean: return "boolean";
    case toml::node_type::array: return "array";
    case toml::node_type::table: return "table";
    default: return "local date";
  }
}

// Reads members of one table; remembers the first thing that went wrong.
class Reader {
 public:
  Reader(const toml::table* table, std::string go_name, Status* status)
      : table_(table), go_name_(std::move(go_name)), status_(status) {}

  Reader Sub(std::string_view key, std::string go_name) const {
    const toml::node* node = Find(key);
    if (node != nullptr && !node->is_table()) {
      Wrong(*node, go_name, "table");
    }
    return Reader(node == nullptr ? nullptr : node->as_table(), std::move(go_name), status_);
  }
  bool present() const { return table_ != nullptr; }
  const toml::table* table() const { return table_; }

  void String(std::string_view key, std::string_view member, std::string* out) const {
    if (const toml::node* node = Find(key)) {
      if (auto value = node->value_exact<std::string>()) {
        *out = *value;
      } else {
        WrongMember(*node, member, "string");
      }
    }
  }
  void Bool(std::string_view key, std::string_view member, bool* out) const {
    std::optional<bool> value;
    BoolOf(key, member, "bool", &value);
    if (value) *out = *value;
  }
  void OptionalBool(std::string_view key, std::string_view member, std::optional<bool>* out) const {
    BoolOf(key, member, "*bool", out);
  }
  void Int(std::string_view key, std::string_view member, int64_t* out) const {
    std::optional<int64_t> value;
    IntOf(key, member, "int", &value);
    if (value) *out = *value;
  }
  void OptionalInt(std::string_view key, std::string_view member,
                   std::optional<int64_t>* out) const {
    IntOf(key, member, "*int", out);
  }
  void Strings(std::string_view key, std::string_view member, std::vector<std::string>* out) const {
    const toml::node* node = Find(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) return WrongMember(*node, member, "[]string");
    out->clear();
    for (const toml::node& element : *array) {
      if (auto value = element.value_exact<std::string>()) {
        out->push_back(*value);
      } else {
        WrongMember(element, member, "string");
      }
    }
  }
  void StringMap(std::string_view key, std::string_view member,
                 std::map<std::string, std::string>* out) const {
    const toml::node* node = Find(key);
    if (node == nullptr) return;
    if (!node->is_table()) return WrongMember(*node, member, "map[string]string");
    for (const auto& [name, value] : *node->as_table()) {
      if (auto text = value.value_exact<std::string>()) {
        (*out)[std::string(name.str())] = *text;
      } else {
        WrongMember(value, member, "string");
      }
    }
  }
  // Text or number, as the reference's UnmarshalText types take them.
  void Space(std::string_view key, DiskSpace* out) const {
    if (auto text = Scalar(key)) {
      Take(ParseDiskSpace(*text), out);
    }
  }
  void Duration(std::string_view key, int64_t* nanos) const {
    if (auto text = Scalar(key)) {
      Take(ParseConfigDuration(*text), nanos);
    }
  }

 private:
  const toml::node* Find(std::string_view key) const {
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  std::optional<std::string> Scalar(std::string_view key) const {
    const toml::node* node = Find(key);
    if (node == nullptr) return std::nullopt;
    if (auto text = node->value_exact<std::string>()) return *text;
    if (auto number = node->value_exact<int64_t>()) return StrCat(*number);
    WrongMember(*node, key, "string");
    return std::nullopt;
  }
  template <typename T>
  void Take(StatusOr<T> value, T* out) const {
    if (value.ok()) {
      *out = *value;
    } else if (status_->ok()) {
      *status_ = value.status();
    }
  }
  void BoolOf(std::string_view key, std::string_view member, std::string_view go_type,
              std::optional<bool>* out) const {
    if (const toml::node* node = Find(key)) {
      if (auto value = node->value_exact<bool>()) {
        *out = *value;
      } else {
        WrongMember(*node, member, go_type);
      }
    }
  }
  void IntOf(std::string_view key, std::string_view member, std::string_view go_type,
             std::optional<int64_t>* out) const {
    if (const toml::node* node = Find(key)) {
      if (auto value = node->value_exact<int64_t>()) {
        *out = *value;
      } else {
        WrongMember(*node, member, go_type);
      }
    }
  }
  void WrongMember(const toml::node& node, std::string_view member, std::string_view type) const {
    Wrong(node, StrCat(go_name_, ".", member), type);
  }
  void Wrong(const toml::node& node, std::string_view go_field, std::string_view type) const {
    if (status_->ok()) {
      *status_ = InvalidArgumentError(StrCat("cannot decode TOML ", TomlTypeName(node),
                                             " into struct field ", go_field, " of type ", type));
    }
  }

  const toml::table* table_;
  std::string go_name_;
  Status* status_;
};

// Calls `each` for every table of an array of tables.
template <typename Fn>
void ForEachTable(const Reader& reader, std::string_view key, Fn each) {
  if (!reader.present()) return;
  const toml::node* node = reader.table()->get(key);
  if (node == nullptr || !node->is_array()) return;
  for (const toml::node& element : *node->as_array()) {
    if (const toml::table* table = element.as_table()) {
      each(*table);
    }
  }
}

void ReadGc(const Reader& worker, GcConfig* gc, Status* status) {
  worker.OptionalBool("gc", "GC", &gc->gc);
  worker.Space("gckeepstorage", &gc->keep_storage);
  worker.Space("reservedSpace", &gc->reserved_space);
  worker.Space("maxUsedSpace", &gc->max_used_space);
  worker.Space("minFreeSpace", &gc->min_free_space);
  ForEachTable(worker, "gcpolicy", [&](const toml::table& table) {
    Reader reader(&table, "config.GCPolicy", status);
    GcPolicyConfig policy;
    reader.Bool("all", "All", &policy.all);
    reader.Strings("filters", "Filters", &policy.filters);
    reader.Duration("keepDuration", &policy.keep_duration);
    reader.Space("keepBytes", &policy.keep_bytes);
    reader.Space("reservedSpace", &policy.reserved_space);
    reader.Space("maxUsedSpace", &policy.max_used_space);
    reader.Space("minFreeSpace", &policy.min_free_space);
    gc->policies.push_back(std::move(policy));
  });
}

// An empty text in the file means the default, as in the reference.
void StringUnlessEmpty(const Reader& reader, std::string_view key, std::string_view member,
                       std::string* out) {
  std::string value;
  reader.String(key, member, &value);
  if (!value.empty()) *out = value;
}

void ReadWorker(const Reader& reader, WorkerConfig* worker, Status* status) {
  reader.OptionalBool("enabled", "Enabled", &worker->enabled);
  reader.StringMap("labels", "Labels", &worker->labels);
  reader.Strings("platforms", "Platforms", &worker->platforms);
  reader.String("snapshotter", "Snapshotter", &worker->snapshotter);
  reader.Bool("rootless", "Rootless", &worker->rootless);
  reader.Bool("noProcessSandbox", "NoProcessSandbox", &worker->no_process_sandbox);
  ReadGc(reader, &worker->gc, status);
  StringUnlessEmpty(reader, "networkMode", "Mode", &worker->network.mode);
  StringUnlessEmpty(reader, "cniConfigPath", "CNIConfigPath", &worker->network.cni_config_path);
  StringUnlessEmpty(reader, "cniBinaryPath", "CNIBinaryPath", &worker->network.cni_binary_path);
  reader.Int("cniPoolSize", "CNIPoolSize", &worker->network.cni_pool_size);
  StringUnlessEmpty(reader, "bridgeName", "BridgeName", &worker->network.bridge_name);
  StringUnlessEmpty(reader, "bridgeSubnet", "BridgeSubnet", &worker->network.bridge_subnet);
  reader.String("binary", "Binary", &worker->binary);
  reader.String("proxySnapshotterPath", "ProxySnapshotterPath", &worker->proxy_snapshotter_path);
  reader.String("defaultCgroupParent", "DefaultCgroupParent", &worker->default_cgroup_parent);
  reader.String("apparmor-profile", "ApparmorProfile", &worker->apparmor_profile);
  reader.Bool("selinux", "SELinux", &worker->selinux);
  reader.Int("max-parallelism", "MaxParallelism", &worker->max_parallelism);
  // Known, checked and without effect here: id maps, and how the reference's snapshotter
  // fetches (chunks are fetched when they are read, and kept in a bounded file).
  std::string remap;
  reader.String("userRemapUnsupported", "UserRemapUnsupported", &remap);
  reader.Sub("stargzSnapshotter", "config.OCIConfig.StargzSnapshotterConfig");
  StringUnlessEmpty(reader, "address", "Address", &worker->address);
  StringUnlessEmpty(reader, "namespace", "Namespace", &worker->containerd_namespace);
  Reader runtime = reader.Sub("runtime", "config.ContainerdRuntime");
  StringUnlessEmpty(runtime, "name", "Name", &worker->runtime_name);
  runtime.String("path", "Path", &worker->runtime_path);
  Reader options = runtime.Sub("options", "config.ContainerdRuntime.Options");
  if (!options.present()) return;
  for (const auto& [name, value] : *options.table()) {
    if (auto text = value.value<std::string>()) {
      worker->runtime_options[std::string(name.str())] = *text;
    } else if (auto on = value.value_exact<bool>()) {
      worker->runtime_options[std::string(name.str())] = *on ? "true" : "false";
    } else if (auto number = value.value_exact<int64_t>()) {
      worker->runtime_options[std::string(name.str())] = std::to_string(*number);
    }
  }
}

void ReadRegistries(const Reader& root, Config* config, Status* status) {
  Reader registries = root.Sub("registry", "config.Config.Registries");
  if (!registries.present()) return;
  for (const auto& [host, node] : *registries.table()) {
    if (!node.is_table()) continue;
    Reader reader(node.as_table(), "config.RegistryConfig", status);
    RegistryConfig registry;
    reader.Strings("mirrors", "Mirrors", &registry.mirrors);
    reader.OptionalBool("http", "PlainHTTP", &registry.http);
    reader.OptionalBool("insecure", "Insecure", &registry.insecure);
    reader.Strings("ca", "RootCAs", &registry.ca);
    ForEachTable(reader, "keypair", [&](const toml::table& table) {
      Reader pair(&table, "config.TLSKeyPair", status);
      RegistryKeyPair key_pair;
      pair.String("key", "Key", &key_pair.key);
      pair.String("cert", "Certificate", &key_pair.cert);
      registry.key_pairs.push_back(std::move(key_pair));
    });
    config->registries[std::string(host.str())] = std::move(registry);
  }
}

void ReadService(const Reader& root, Config* config) {
  Reader log = root.Sub("log", "config.LogConfig");
  log.String("format", "Format", &config->log_format);
  log.String("level", "Level", &config->log_level);
  Reader grpc = root.Sub("grpc", "config.GRPCConfig");
  std::vector<std::string> addresses;
  grpc.Strings("address", "Address", &addresses);
  if (!addresses.empty()) config->addresses = addresses;
  grpc.String("debugAddress", "DebugAddress", &config->debug_address);
  std::string descriptor;  // of Windows pipes
  grpc.String("securityDescriptor", "SecurityDescriptor", &descriptor);
  grpc.OptionalInt("uid", "UID", &config->uid);
  grpc.OptionalInt("gid", "GID", &config->gid);
  Reader tls = grpc.Sub("tls", "config.TLSConfig");
  tls.String("cert", "Cert", &config->tls_cert);
  tls.String("key", "Key", &config->tls_key);
  tls.String("ca", "CA", &config->tls_ca);
  Reader otel = root.Sub("otel", "config.OTELConfig");
  StringUnlessEmpty(otel, "socketPath", "SocketPath", &config->otel_socket_path);
  Reader cdi = root.Sub("cdi", "config.CDIConfig");
  cdi.OptionalBool("disabled", "Disabled", &config->cdi_disabled);
  std::vector<std::string> dirs;
  cdi.Strings("specDirs", "SpecDirs", &dirs);
  if (!dirs.empty()) config->cdi_spec_dirs = dirs;
  cdi.Strings("autoAllowed", "AutoAllowed", &config->cdi_auto_allowed);
}

void ReadBuilds(const Reader& root, Config* config) {
  Reader dns = root.Sub("dns", "config.DNSConfig");
  if (dns.present()) {
    config->dns.emplace();
    dns.Strings("nameservers", "Nameservers", &config->dns->nameservers);
    dns.Strings("options", "Options", &config->dns->options);
    dns.Strings("searchDomains", "SearchDomains", &config->dns->search_domains);
  }
  Reader history = root.Sub("history", "config.HistoryConfig");
  if (history.present()) {
    config->history.emplace();
    history.Duration("maxAge", &config->history->max_age);
    history.Int("maxEntries", "MaxEntries", &config->history->max_entries);
  }
  Reader frontends = root.Sub("frontend", "config.Config.Frontends");
  Reader dockerfile = frontends.Sub("dockerfile.v0", "config.DockerfileFrontendConfig");
  dockerfile.OptionalBool("enabled", "Enabled", &config->dockerfile_enabled);
  dockerfile.Strings("syntaxes", "Syntaxes", &config->dockerfile_syntaxes);
  Reader gateway = frontends.Sub("gateway.v0", "config.GatewayFrontendConfig");
  gateway.OptionalBool("enabled", "Enabled", &config->gateway_enabled);
  gateway.Strings("allowedRepositories", "AllowedRepositories",
                  &config->gateway_allowed_repositories);
  Reader system = root.Sub("system", "config.SystemConfig");
  system.OptionalInt("maxRegistryConcurrency", "MaxRegistryConcurrency",
                     &config->max_registry_concurrency);
  system.Duration("platformsCacheMaxAge", &config->platforms_cache_max_age);
}

}  // namespace

StatusOr<DiskSpace> ParseDiskSpace(std::string_view text) {
  Status bad = InvalidArgumentError(StrCat("invalid disk space ", text));
  DiskSpace space;
  if (text.empty()) return space;
  if (text.ends_with("%")) {
    if (!ParseInt64(TrimSuffix(text, "%"), &space.percentage)) return bad;
    return space;
  }
  size_t end = text.find_first_not_of("0123456789.");
  std::string number(text.substr(0, end));
  std::string unit = end == std::string_view::npos ? "" : ToLower(TrimSpace(text.substr(end)));
  constexpr std::string_view kUnits = "kmgtp";
  double scale = 1;
  if (!unit.empty() && unit != "b") {
    size_t power = kUnits.find(unit[0]);
    std::string rest = unit.substr(1);
    if (power == std::string_view::npos || (rest != "" && rest != "b" && rest != "ib")) return bad;
    scale = std::pow(1024.0, static_cast<double>(power + 1));
  }
  char* stop = nullptr;
  double value = std::strtod(number.c_str(), &stop);
  if (number.empty() || *stop != '\0') return bad;
  space.bytes = static_cast<int64_t>(value * scale);
  return space;
}

StatusOr<int64_t> ParseConfigDuration(std::string_view text) {
  Status bad = InvalidArgumentError(StrCat("invalid duration ", text));
  if (text.empty()) return int64_t{0};
  int64_t seconds = 0;
  if (ParseInt64(text, &seconds)) return seconds * 1'000'000'000;
  const std::pair<std::string_view, double> units[] = {
      {"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
  double total = 0;
  while (!text.empty()) {
    size_t end = text.find_first_not_of("0123456789.");
    if (end == 0 || end == std::string_view::npos) return bad;
    double value = std::strtod(std::string(text.substr(0, end)).c_str(), nullptr);
    text.remove_prefix(end);
    size_t unit_end = text.find_first_of("0123456789.");
    std::string_view unit = text.substr(0, unit_end);
    text.remove_prefix(unit.size());
    bool known = false;
    for (const auto& [name, nanos] : units) {
      if (name == unit) {
        total += value * nanos;
        known = true;
      }
    }
    if (!known) return bad;
  }
  return static_cast<int64_t>(total);
}

StatusOr<Config> ParseConfig(std::string_view toml_text, Config config) {
  toml::table table;
  try {
    table = toml::parse(toml_text);
  } catch (const toml::parse_error& error) {
    return InvalidArgumentError(
        StrCat("failed to parse config: toml: ", TomlFault(error.description())));
  }
  Status status;
  Reader root(&table, "config.Config", &status);
  root.Bool("debug", "Debug", &config.debug);
  root.Bool("trace", "Trace", &config.trace);
  StringUnlessEmpty(root, "root", "Root", &config.root);
  root.Strings("insecure-entitlements", "Entitlements", &config.entitlements);
  root.Bool("proxyNetwork", "ProxyNetwork", &config.proxy_network);
  root.String("provenanceEnvDir", "ProvenanceEnvDir", &config.provenance_env_dir);
  ReadService(root, &config);
  Reader workers = root.Sub("worker", "config.Config.Workers");
  ReadWorker(workers.Sub("oci", "config.OCIConfig"), &config.oci, &status);
  ReadWorker(workers.Sub("containerd", "config.ContainerdConfig"), &config.containerd, &status);
  ReadRegistries(root, &config, &status);
  ReadBuilds(root, &config);
  if (!status.ok()) return Annotate(status, "failed to parse config: toml");
  return config;
}

StatusOr<Config> LoadConfig(const std::string& path, Config defaults) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return defaults;
    return ErrnoStatus(errno, StrCat("open ", path));
  }
  if (S_ISDIR(st.st_mode)) {
    return InvalidArgumentError(
        StrCat("failed to parse config: toml: read ", path, ": is a directory"));
  }
  StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return Annotate(text.status(), "failed to load config");
  return ParseConfig(*text, std::move(defaults));
}

}  // namespace kiln::buildkitd
