// Client: one build as the Dockerfile frontend sees it: its settings, its
// Dockerfile, its contexts. Talks to the daemon through the Bridge only.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "frontend/bridge.h"
#include "frontend/dockerfile/ui/config.h"
#include "frontend/dockerfile/ui/context.h"
#include "frontend/dockerfile/ui/image_resolver.h"
#include "llb/state.h"
#include "oci/image_config.h"

namespace kiln::dockerfile {

// Paths of a local source that are used; asked when the source is first needed.
using FollowPaths = std::function<std::vector<std::string>()>;

struct ContextOptions {
  std::optional<Platform> platform;
  std::string resolve_mode;
  FollowPaths follow_paths;
};

struct LoadedContext {
  llb::State state;
  std::optional<oci::Image> image;
};

// Thread-safe after Make, except for ReadEntrypoint.
class Client {
 public:
  static StatusOr<std::unique_ptr<Client>> Make(frontend::Bridge& bridge, std::stop_token stop);

  const Config& config() const { return config_; }
  const frontend::StringMap& opts() const { return opts_; }
  const std::string& session_id() const { return bridge_.build_opts().session_id; }
  frontend::Bridge& bridge() { return bridge_; }
  std::stop_token stop() const { return stop_; }
  ImageResolver& images() { return images_; }

  // The Dockerfile. Also picks up an ignore file next to it.
  StatusOr<std::shared_ptr<const llb::SourceMap>> ReadEntrypoint();
  // Reports about the Dockerfile read before.
  void Warn(frontend::Warning warning);
  // The main context, cut down to `follow_paths` if it is local (empty: all of it).
  StatusOr<llb::State> MainContext(const std::vector<std::string>& follow_paths);
  StatusOr<std::vector<std::string>> DockerIgnorePatterns();
  bool IsNoCache(std::string_view stage) const;

  // What "context:NAME" or "context:NAME::PLATFORM" says; absent if nothing.
  StatusOr<std::optional<std::string>> FindNamedContext(const std::string& name,
                                                        const std::optional<Platform>& platform);
  // Loads the one that FindNamedContext returned (a key of the attributes).
  StatusOr<LoadedContext> LoadNamedContext(const std::string& key, const ContextOptions& options);

 private:
  Client(frontend::Bridge& bridge, std::stop_token stop)
      : bridge_(bridge), stop_(stop), opts_(bridge.build_opts().opts), images_(bridge, stop) {}

  StatusOr<BuildContext> Context();
  std::string SessionFor(const std::string& local_name) const;
  StatusOr<frontend::ReferencePtr> SolveState(const llb::State& state, bool evaluate,
                                              llb::DefinitionPtr* definition = nullptr);
  StatusOr<std::vector<std::string>> LocalIgnorePatterns(const BuildContext& context);
  StatusOr<LoadedContext> LoadInput(const std::string& key, const std::string& input,
                                    const ContextOptions& options, int depth);
  StatusOr<LoadedContext> LoadImage(const std::string& key, std::string reference,
                                    const ContextOptions& options, int depth);
  StatusOr<LoadedContext> LoadOciLayout(const std::string& key, std::string_view reference,
                                        const ContextOptions& options);
  StatusOr<LoadedContext> LoadLocal(const std::string& key, const std::string& name,
                                    const ContextOptions& options);
  StatusOr<LoadedContext> LoadFrontendInput(const std::string& key, const std::string& name);

  frontend::Bridge& bridge_;
  std::stop_token stop_;
  frontend::StringMap opts_;
  Config config_;
  ImageResolver images_;
  std::mutex mutex_;  // guards what follows
  std::optional<BuildContext> context_;
  std::optional<std::string> dockerignore_;
  std::string dockerignore_name_;
  std::shared_ptr<const llb::SourceMap> source_map_;
  std::atomic<size_t> shown_bytes_ = 0;  // of the Dockerfile in warnings so far
};

}  // namespace kiln::dockerfile
