// Config: what buildkitd is told by its file and its flags.
//
// Keys, defaults and error texts are those of the reference's buildkitd.toml.
// Unknown keys are ignored; a wrong type is an error. Flags win over the file
// (flags.h). Plain data; nothing here starts anything.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace kiln::buildkitd {

// A size, absolute or as a share of the disk. Both 0: not given.
struct DiskSpace {
  int64_t bytes = 0;
  int64_t percentage = 0;
  bool unset() const { return bytes == 0 && percentage == 0; }
};
// "512MB", "10%", plain bytes. "invalid disk space X".
StatusOr<DiskSpace> ParseDiskSpace(std::string_view text);
// Go's durations ("48h", "1m30s"), or seconds. "invalid duration X". Nanoseconds.
StatusOr<int64_t> ParseConfigDuration(std::string_view text);

struct GcPolicyConfig {
  bool all = false;
  std::vector<std::string> filters;
  int64_t keep_duration = 0;  // nanoseconds
  DiskSpace keep_bytes;       // the old name of reserved_space
  DiskSpace reserved_space;
  DiskSpace max_used_space;
  DiskSpace min_free_space;
};

struct GcConfig {
  std::optional<bool> gc;
  DiskSpace keep_storage;  // the old name of reserved_space
  DiskSpace reserved_space;
  DiskSpace max_used_space;
  DiskSpace min_free_space;
  std::vector<GcPolicyConfig> policies;
};

struct NetworkConfig {
  std::string mode = "auto";
  std::string cni_config_path = "/etc/buildkit/cni.json";
  std::string cni_binary_path = "/opt/cni/bin";
  int64_t cni_pool_size = 0;
  std::string bridge_name = "buildkit0";
  std::string bridge_subnet = "10.10.0.0/16";
};

// One worker; some members concern only one of the two kinds.
struct WorkerConfig {
  std::optional<bool> enabled;
  std::map<std::string, std::string> labels;
  std::vector<std::string> platforms;
  std::string snapshotter;
  bool rootless = false;
  bool no_process_sandbox = false;
  GcConfig gc;
  NetworkConfig network;
  std::string binary;
  std::string proxy_snapshotter_path;
  std::string default_cgroup_parent;
  std::string apparmor_profile;
  bool selinux = false;
  int64_t max_parallelism = 0;
  std::string address = "/run/containerd/containerd.sock";  // containerd
  std::string containerd_namespace = "buildkit";
  std::string runtime_name = "io.containerd.runc.v2";
  std::string runtime_path;
  std::map<std::string, std::string> runtime_options;  // scalars as text
};

struct RegistryKeyPair {
  std::string key;
  std::string cert;
};
struct RegistryConfig {
  std::vector<std::string> mirrors;
  std::optional<bool> http;
  std::optional<bool> insecure;
  std::vector<std::string> ca;
  std::vector<RegistryKeyPair> key_pairs;
};

struct DnsConfig {
  std::vector<std::string> nameservers;
  std::vector<std::string> options;
  std::vector<std::string> search_domains;
};

struct HistoryConfig {
  int64_t max_age = 0;  // nanoseconds; 0: the default
  int64_t max_entries = 0;
};

struct Config {
  bool debug = false;  // old names of log.level
  bool trace = false;
  std::string root = "/var/lib/buildkit";
  std::vector<std::string> entitlements;
  bool proxy_network = false;
  std::string log_format;
  std::string log_level;
  std::vector<std::string> addresses = {"unix:///run/buildkit/buildkitd.sock"};
  std::string debug_address;
  std::optional<int64_t> uid;
  std::optional<int64_t> gid;
  std::string tls_cert, tls_key, tls_ca;
  std::string otel_socket_path = "/run/buildkit/otel-grpc.sock";
  std::optional<bool> cdi_disabled;
  std::vector<std::string> cdi_spec_dirs = {"/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"};
  std::vector<std::string> cdi_auto_allowed;
  WorkerConfig oci;
  WorkerConfig containerd;
  std::map<std::string, RegistryConfig> registries;
  std::optional<DnsConfig> dns;
  std::optional<HistoryConfig> history;
  std::optional<bool> dockerfile_enabled;
  // Ours alone: syntax references that the built-in frontend answers itself.
  std::vector<std::string> dockerfile_syntaxes;
  std::optional<bool> gateway_enabled;
  std::vector<std::string> gateway_allowed_repositories;
  std::optional<int64_t> max_registry_concurrency;
  int64_t platforms_cache_max_age = 0;  // nanoseconds; platforms are found once here
  std::string provenance_env_dir;
};

// Reads `path` over `defaults`. A file that does not exist gives the defaults.
// "failed to parse config: toml: …" otherwise.
StatusOr<Config> LoadConfig(const std::string& path, Config defaults = {});
StatusOr<Config> ParseConfig(std::string_view toml_text, Config defaults = {});

}  // namespace kiln::buildkitd
