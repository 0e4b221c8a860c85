// Read OpenGraph from top to bottom: state, worker, solver, control, server.
#include "cmd/buildkitd/wire.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "api/containerd/containerd_content_store.h"
#include "api/containerd/containerd_images.h"
#include "api/containerd/containerd_lease.h"
#include "api/containerd/containerd_origin.h"
#include "api/containerd/containerd_runtime.h"
#include "api/containerd/containerd_snapshotter.h"
#include "api/containerd/proxy_snapshotter.h"
#include "api/server/policy_check.h"
#include "api/server/stdio_frontend.h"
#include "api/server/trace_collector.h"
#include "base/file.h"
#include "base/job_pool.h"
#include "base/log.h"
#include "base/strings.h"
#include "cache/content/disk_content_store.h"
#include "cache/database.h"
#include "cache/index/stored_key_index.h"
#include "cache/ref_store.h"
#include "cache/snapshot/snapshotter.h"
#include "cmd/buildkitd/listen.h"
#include "cmd/buildkitd/metrics_text.h"
#include "cmd/buildkitd/provenance_env.h"
#include "cmd/buildkitd/source_meta.h"
#include "cmd/buildkitd/worker_facts.h"
#include "control/controller.h"
#include "control/garbage_collector.h"
#include "frontend/frontend.h"
#include "frontend/gateway/gateway_frontend.h"
#include "llb/ssh_keyscan.h"
#include "oci/reference.h"
#include "oci/registry.h"
#include "solver/scheduler.h"
#include "worker/cdi/cdi_devices.h"
#include "worker/exporter/exporter_table.h"
#include "worker/exporter/image_commit.h"
#include "worker/exporter/image_push.h"
#include "worker/op/proxied_steps.h"
#include "worker/op/step_usages.h"
#include "worker/op/source_pins.h"
#include "worker/remotecache/registry_cache.h"
#include "worker/source/git/ssh_keyscan.h"
#include "worker/source/image/image_source.h"
#include "worker/source/image/registry_origin.h"
#include "worker/worker.h"

namespace kiln::buildkitd {
namespace {

// Steps that run at once, unless max-parallelism says less.
constexpr size_t kExecWidth = 64;
constexpr size_t kNetworkWidth = 16;

size_t DiskWidth() { return std::max<size_t>(4, 2 * std::thread::hardware_concurrency()); }

std::optional<control::ProxiedStep> FindProxied(worker::Worker& worker, const Digest& vertex) {
  auto capture = worker.proxied_steps().Find(vertex);
  if (!capture) return std::nullopt;
  control::ProxiedStep step;
  for (auto& [url, digest] : (*capture)->Materials()) step.materials.push_back({url, digest});
  for (auto& gap : (*capture)->Gaps()) {
    step.gaps.push_back({.op = {}, .name = {}, .method = gap.method, .uri = gap.url,
                         .reason = gap.reason});
  }
  return step;
}

worker::exec::ExecutorOptions ExecutorOptionsOf(const Config& config) {
  const WorkerConfig& from = WorkerConfigOf(config);
  worker::exec::ExecutorOptions options;
  options.binary = from.binary;
  options.network_mode = from.network.mode;
  options.cni_config_path = from.network.cni_config_path;
  options.cni_binary_dir = from.network.cni_binary_path;
  options.cni_pool_size =
      static_cast<size_t>(std::max<int64_t>(from.network.cni_pool_size, 0));
  options.bridge_name = from.network.bridge_name;
  options.bridge_subnet = from.network.bridge_subnet;
  if (config.dns) {
    options.dns = {config.dns->nameservers, config.dns->options, config.dns->search_domains};
  }
  options.cgroup_parent = from.default_cgroup_parent;
  options.apparmor_profile = from.apparmor_profile;
  options.selinux = from.selinux;
  options.rootless = from.rootless;
  options.no_process_sandbox = from.no_process_sandbox;
  options.tracing_socket = config.otel_socket_path;
  return options;
}

oci::RegistryHosts RegistryHostsOf(const Config& config) {
  oci::RegistryHosts hosts;
  for (const auto& [name, registry] : config.registries) {
    oci::RegistryHost& host = hosts[name];
    host.mirrors = registry.mirrors;
    host.http = registry.http;
    host.insecure = registry.insecure;
    host.ca = registry.ca;
    for (const RegistryKeyPair& pair : registry.key_pairs) {
      host.key_pairs.emplace_back(pair.cert, pair.key);
    }
  }
  return hosts;
}

// Trees that the OCI worker, or an earlier version, made under the same root: their records
// were dropped when the trees were not found in containerd.
Status DropOwnSnapshots(const std::string& root) {
  const std::string folder = JoinPath(root, "snapshots");
  if (!PathExists(folder)) return OkStatus();
  log::Info(StrCat("removing ", folder, ": the snapshots of this worker are in containerd"));
  return RemoveAll(folder);
}

Status CopyBlob(cache::ContentStore& from, const cache::BlobStat& blob, cache::ContentStore& to) {
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, from.Open(blob.digest));
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobWriter> writer, to.NewWriter());
  std::string buffer(1 << 20, '\0');
  std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
  for (uint64_t offset = 0;;) {
    ASSIGN_OR_RETURN(size_t count, reader->ReadAt(offset, room));
    if (count == 0) break;
    RETURN_IF_ERROR(writer->Append(std::string_view(buffer).substr(0, count)));
    offset += count;
  }
  oci::Descriptor expected;
  expected.digest = blob.digest;
  expected.size = blob.size;
  return writer->Commit(expected).status();
}

// Blobs of the same origin: layers of images, and what the history shows.
Status MoveOwnContent(const std::string& root, cache::ContentStore& to) {
  const std::string folder = JoinPath(root, "content");
  if (!PathExists(folder)) return OkStatus();
  log::Info(StrCat("moving ", folder, ": the blobs of this worker are in containerd"));
  ASSIGN_OR_RETURN(std::unique_ptr<cache::ContentStore> from, cache::OpenContentStore(folder));
  ASSIGN_OR_RETURN(std::vector<cache::BlobStat> blobs, from->List());
  for (const cache::BlobStat& blob : blobs) {
    if (!to.Stat(blob.digest).ok()) RETURN_IF_ERROR(CopyBlob(*from, blob, to));
  }
  return RemoveAll(folder);
}

// Where built images go besides our own store.
worker::StoreFn ImageStoreOf(std::shared_ptr<api::ContainerdImages> images,
                             cache::ContentStore& content, const std::string& snapshotter) {
  if (images == nullptr) return {};
  return [images = std::move(images), &content, snapshotter](
             const worker::CommittedImage& image, const worker::StoreTarget& target) -> Status {
    ASSIGN_OR_RETURN(std::vector<oci::Descriptor> blobs,
                     worker::BlobsOf(*image.blobs, image.descriptor));
    if (target.allow_incomplete && !target.unpack) {
      std::erase_if(blobs, [&](const oci::Descriptor& blob) {
        return !content.Stat(blob.digest).ok();
      });
    }
    return images->Store(blobs, *image.blobs, target.name, target.unpack ? snapshotter : "");
  };
}

}  // namespace

// Destroyed from the bottom up.
struct Daemon::Graph {
  std::unique_ptr<api::TraceCollector> traces;
  std::shared_ptr<api::ContainerdLease> lease, history_lease;  // null: there is no containerd
  std::unique_ptr<cache::Snapshotter> snapshots;
  std::unique_ptr<cache::Database> database;
  std::unique_ptr<cache::ContentStore> content;
  api::LiveSessions sessions;
  std::shared_ptr<oci::Registry> registry;
  std::unique_ptr<cache::RefStore> refs;  // layers may be read through the two above
  std::unique_ptr<cache::StoredKeyIndex> keys;
  std::unique_ptr<control::History> history;
  std::shared_ptr<api::ContainerdImages> images;  // like the lease
  std::unique_ptr<worker::ImageResolver> image_resolver;
  std::unique_ptr<worker::cdi::CdiDevices> devices;
  std::unique_ptr<worker::exec::ContainerRuntime> runtime;  // until the worker has it
  std::unique_ptr<worker::Worker> worker;
  worker::exec::MachineMonitor machine;
  std::unique_ptr<worker::ExporterTable> exporters;
  std::unique_ptr<worker::CacheBackends> caches;
  std::unique_ptr<JobPool> exec_pool, network_pool, disk_pool;
  std::unique_ptr<solver::Scheduler> scheduler;
  control::Services services;
  std::unique_ptr<control::GarbageCollector> collector;
  std::unique_ptr<control::Controller> controller;
  api::ServerParts parts;
  std::unique_ptr<api::StdioFrontends> stdio_frontends;
  std::unique_ptr<api::Server> server;

  Status OpenTraces(const Config& config);
  Status OpenContainer(const Config& config, const std::string& snapshotter,
                       api::WorkerFacts* facts);
  Status OpenState(const Config& config, const std::string& snapshotter);
  Status OpenWorker(const Config& config, const api::WorkerFacts& facts);
  void StartSolver();
  Status StartFrontends(const Config& config);
  void StartControl(const Config& config, api::WorkerFacts facts);
};

Daemon::Daemon() : graph_(std::make_unique<Graph>()) {}
Daemon::~Daemon() {
  if (graph_->server != nullptr) graph_->server->Stop();
}
api::Server& Daemon::server() { return *graph_->server; }
DebugSources Daemon::debug_sources() {
  control::Controller* controller = graph_->controller.get();
  return {.metrics = [controller] { return BuildMetricsText(controller->metrics().Get()); },
          .requests = [controller] {
            return StrCat("<tr><td>builds</td><td>", controller->running(), "</td></tr>\n");
          }};
}

StatusOr<std::unique_ptr<Daemon>> Daemon::Open(const Config& config) {
  std::unique_ptr<Daemon> daemon(new Daemon);
  Graph& graph = *daemon->graph_;
  ASSIGN_OR_RETURN(std::string snapshotter, ChooseSnapshotter(config));
  ASSIGN_OR_RETURN(api::WorkerFacts facts, WorkerFactsOf(config, snapshotter));
  RETURN_IF_ERROR(graph.OpenTraces(config));
  RETURN_IF_ERROR(graph.OpenContainer(config, snapshotter, &facts));
  RETURN_IF_ERROR(graph.OpenState(config, snapshotter));
  RETURN_IF_ERROR(graph.OpenWorker(config, facts));
  graph.StartSolver();
  RETURN_IF_ERROR(graph.StartFrontends(config));
  ASSIGN_OR_RETURN(graph.services.provenance_env, LoadProvenanceEnv(config.provenance_env_dir));
  graph.StartControl(config, std::move(facts));
  return daemon;
}

// Steps of any user write here, hence the mode.
Status Daemon::Graph::OpenTraces(const Config& config) {
  auto socket = ListenUnix(config.otel_socket_path, getuid(), getgid(), 0666);
  if (!socket.ok()) return Annotate(socket.status(), "creating trace controller listener");
  ASSIGN_OR_RETURN(traces, api::TraceCollector::Open(*std::move(socket)));
  return OkStatus();
}

// Steps run in containerd if it is the worker, and trees and blobs are there; else trees may be
// in a snapshotter behind a socket.
Status Daemon::Graph::OpenContainer(const Config& config, const std::string& snapshotter,
                                    api::WorkerFacts* facts) {
  if (!UsesContainerd(config)) {
    const std::string& socket = config.oci.proxy_snapshotter_path;
    if (socket.empty()) return OkStatus();
    snapshots = api::OpenProxySnapshotter({.address = socket,
                                           .name = snapshotter,
                                           .name_space = "buildkit",
                                           .owner = facts->id});
    return OkStatus();
  }
  const WorkerConfig& from = config.containerd;
  ASSIGN_OR_RETURN(api::Containerd opened,
                   api::OpenContainerd({.address = from.address,
                                        .name_space = from.containerd_namespace,
                                        .runtime_name = from.runtime_name,
                                        .runtime_path = from.runtime_path,
                                        .runtime_options = from.runtime_options}));
  runtime = std::move(opened.runtime);
  facts->labels["org.mobyproject.buildkit.worker.containerd.uuid"] = std::move(opened.uuid);
  // By the id of this state folder: another daemon may have the same containerd.
  auto open = [&](const std::string& name_space) {
    return api::ContainerdLease::Open(from.address, name_space, StrCat("kiln-", facts->id),
                                      {{"kiln/root", config.root}});
  };
  ASSIGN_OR_RETURN(lease, open(from.containerd_namespace));
  ASSIGN_OR_RETURN(history_lease, open(StrCat(from.containerd_namespace, "_history")));
  snapshots = api::OpenContainerdSnapshotter(lease, snapshotter);
  return OkStatus();
}

Status Daemon::Graph::OpenState(const Config& config, const std::string& snapshotter) {
  ASSIGN_OR_RETURN(database, cache::Database::Open(JoinPath(config.root, "index.db")));
  if (lease != nullptr) {
    ASSIGN_OR_RETURN(content, api::OpenContainerdContentStore(lease, history_lease));
    RETURN_IF_ERROR(MoveOwnContent(config.root, *content));
  } else {
    ASSIGN_OR_RETURN(content, cache::OpenContentStore(JoinPath(config.root, "content")));
  }
  registry = std::make_shared<oci::Registry>(RegistryHostsOf(config));
  ASSIGN_OR_RETURN(refs, cache::RefStore::Open({.root = config.root,
                                                .snapshotter = snapshotter,
                                                .late_blobs =
                                                    worker::NewLateBlobs(registry, sessions),
                                                .remote_snapshots = snapshots.get(),
                                                .content = content.get(),
                                                .database = database.get()}));
  if (snapshots != nullptr) RETURN_IF_ERROR(DropOwnSnapshots(config.root));
  ASSIGN_OR_RETURN(keys, cache::StoredKeyIndex::Open(*database));
  // A key whose record is gone must not be found.
  keys->ReleaseUnless([this](std::string_view id) { return refs->Has(id); });
  refs->OnRemove([this](std::string_view id, std::string_view rule) {
    keys->Release(id, rule).IgnoreError();
  });
  control::HistoryLimits limits;
  if (config.history) {
    if (config.history->max_age != 0) limits.max_age = config.history->max_age;
    if (config.history->max_entries != 0) limits.max_entries = config.history->max_entries;
  }
  ASSIGN_OR_RETURN(history, control::History::Open(*database, limits, refs.get()));
  return OkStatus();
}

Status Daemon::Graph::OpenWorker(const Config& config, const api::WorkerFacts& facts) {
  llb::SetSshKeyScan(worker::ScanSshHost);
  worker::WorkerOptions options;
  options.root = JoinPath(config.root, "worker");
  options.id = facts.id;
  options.refs = refs.get();
  options.sessions = &sessions;
  options.exec = ExecutorOptionsOf(config);
  if (!config.cdi_disabled.value_or(false)) {
    ASSIGN_OR_RETURN(devices, worker::cdi::CdiDevices::Open(config.cdi_spec_dirs,
                                                            config.cdi_auto_allowed));
  }
  options.exec.cdi = devices.get();
  options.runtime = std::move(runtime);
  options.max_parallelism = static_cast<size_t>(std::max<int64_t>(WorkerConfigOf(config).max_parallelism, 0));
  options.platforms = facts.platforms;
  if (UsesContainerd(config)) {
    images = std::make_shared<api::ContainerdImages>(config.containerd.address,
                                                     config.containerd.containerd_namespace);
  }
  worker::ImageSourceOptions pulled{.refs = refs.get(),
                                    .sessions = &sessions,
                                    .registry = worker::NewRegistryOrigins(registry, sessions)};
  if (images != nullptr) pulled.registry = api::WithContainerdImages(pulled.registry, images);
  options.sources.push_back(worker::NewImageSource(pulled));
  options.sources.push_back(worker::NewBlobSource(pulled, JoinPath(options.root, "worker-tmp")));
  image_resolver = std::make_unique<worker::ImageResolver>(std::move(pulled));
  options.read_blob = [this](const worker::BlobQuery& query, const auto& sink) -> Status {
    ASSIGN_OR_RETURN(auto origin, image_resolver->OriginFor({.scheme = query.scheme,
                                                             .ref = query.ref,
                                                             .store = query.store,
                                                             .session = query.session,
                                                             .sessions = query.sessions}));
    return origin->ReadBlob(query.ref, query.digest, sink);
  };
  ASSIGN_OR_RETURN(worker, worker::Worker::Open(std::move(options)));
  exporters = worker::NewExporterTable(
      {.refs = refs.get(),
       .sessions = &sessions,
       .push = worker::NewRegistryPush(registry, [this](const std::string& session) {
         return worker::NewSessionAuth(sessions, {session});
       }),
       .store = ImageStoreOf(images, *content, config.containerd.snapshotter)});
  caches = std::make_unique<worker::CacheBackends>(*refs);
  caches->Add("inline", worker::NewInlineCacheBackend());
  caches->Add("local", worker::NewLocalCacheBackend(sessions));
  caches->Add("registry", worker::NewRegistryCacheBackend(registry, sessions));
  return OkStatus();
}

void Daemon::Graph::StartSolver() {
  exec_pool = std::make_unique<JobPool>("exec", kExecWidth);
  network_pool = std::make_unique<JobPool>("network", kNetworkWidth);
  disk_pool = std::make_unique<JobPool>("disk", DiskWidth());
  scheduler = std::make_unique<solver::Scheduler>(
      *keys, *worker, JobPools{*exec_pool, *network_pool, *disk_pool});
}

Status Daemon::Graph::StartFrontends(const Config& config) {
  if (config.dockerfile_enabled.value_or(true)) {
    services.frontends["dockerfile.v0"] = frontend::NewFrontend("dockerfile.v0");
  } else if (!config.dockerfile_syntaxes.empty()) {
    return InvalidArgumentError("frontend.\"dockerfile.v0\".syntaxes needs dockerfile.v0 enabled");
  }
  if (!config.gateway_enabled.value_or(true)) return OkStatus();
  stdio_frontends = std::make_unique<api::StdioFrontends>(parts, *worker);
  frontend::gateway::GatewayOptions options;
  options.run = [this](frontend::Bridge& bridge, const auto& process, std::stop_token stop) {
    return stdio_frontends->Run(bridge, process, std::move(stop));
  };
  options.allowed_repositories = config.gateway_allowed_repositories;
  options.built_in = config.dockerfile_syntaxes;
  ASSIGN_OR_RETURN(services.frontends["gateway.v0"],
                   frontend::gateway::NewFrontend(std::move(options)));
  return OkStatus();
}

void Daemon::Graph::StartControl(const Config& config, api::WorkerFacts facts) {
  services.scheduler = scheduler.get();
  services.refs = refs.get();
  services.sessions = &sessions;
  services.exporters = exporters.get();
  services.caches = caches.get();
  services.ops = worker.get();
  services.worker = worker.get();
  services.workers.push_back({facts.id, facts.labels, facts.platforms});
  services.resolve_meta = [this](const control::MetaQuery& query) {
    return ResolveMeta({*image_resolver, *worker, *scheduler}, query);
  };
  services.find_pin = [this](const Digest& vertex) -> std::optional<control::PinnedSource> {
    auto found = worker->source_pins().Find(vertex);
    if (!found) return std::nullopt;
    return control::PinnedSource{std::move(found->pin), std::move(found->url)};
  };
  services.find_proxied = [this](const Digest& vertex) { return FindProxied(*worker, vertex); };
  services.find_usage = [this](const Digest& vertex) -> std::optional<std::string> {
    auto usage = worker->step_usages().Find(vertex);
    return usage ? std::optional(worker::exec::UsageJson(**usage)) : std::nullopt;
  };
  services.machine = &machine;
  services.proxy_network = config.proxy_network;
  services.check_policy = [this](const control::PolicyQuery& query) {
    return api::CheckSourcePolicy(sessions, query);
  };
  services.dockerfile_version = DaemonVersion().dockerfile_version;
  services.devices = devices.get();
  services.entitlements = config.entitlements;
  if (!config.cdi_disabled.value_or(false)) services.entitlements.push_back("device");
  collector = std::make_unique<control::GarbageCollector>(*refs, facts.gc_policy);
  services.after_build = [this] { collector->Trigger(); };
  controller =
      std::make_unique<control::Controller>(services, history.get(), api::MakeHistoryRecord);
  worker->set_proxy_policies([this](const std::vector<std::string>& ids) {
    return controller->ProxyPolicyFor(ids);
  });
  parts = {.controller = controller.get(),
           .sessions = &sessions,
           .refs = refs.get(),
           .keys = keys.get(),
           .version = DaemonVersion(),
           .worker = std::move(facts),
           .devices = devices.get()};
  server = std::make_unique<api::Server>(parts);
}

}  // namespace kiln::buildkitd
