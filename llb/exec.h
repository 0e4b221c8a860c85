// Exec: one process to run on a state, with its mounts, secrets and devices.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llb/state.h"

namespace kiln::llb {

enum class CacheSharing { kShared = 0, kPrivate = 1, kLocked = 2 };
enum class MountContentCache { kDefault = 0, kOn = 1, kOff = 2 };

struct Mount {
  std::string target;
  Output source;  // without node: scratch
  std::string selector;
  bool read_only = false;
  bool no_output = false;
  bool tmpfs = false;
  int64_t tmpfs_size = 0;
  std::string cache_id;  // set: a cache mount
  CacheSharing cache_sharing = CacheSharing::kShared;
  MountContentCache content_cache = MountContentCache::kDefault;
};

struct Secret {
  std::string id;
  std::optional<std::string> target;  // file
  std::optional<std::string> env;     // variable
  uint32_t mode = 0400;
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool optional = false;
};

struct Ssh {
  std::string id;
  std::string target;  // empty: /run/buildkit/ssh_agent.N
  uint32_t mode = 0600;
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool optional = false;
};

struct CdiDevice {
  std::string name;
  bool optional = false;
};

struct ProxyEnv {
  std::string http, https, ftp, no_proxy, all;
};

struct Exec {
  std::vector<Mount> mounts;  // besides the root
  std::vector<Secret> secrets;
  std::vector<Ssh> ssh;
  std::vector<CdiDevice> devices;
  std::optional<ProxyEnv> proxy;
  bool read_only_root = false;
  Constraints constraints;
};

// A step that was made: its outputs as states.
class ExecState {
 public:
  ExecState(State root, std::vector<State> mounts)
      : root_(std::move(root)), mounts_(std::move(mounts)) {}
  const State& root() const { return root_; }
  // What the i-th mount of the Exec holds afterwards.
  const State& mount(size_t i) const { return mounts_[i]; }

 private:
  State root_;
  std::vector<State> mounts_;
};

// Runs on the file system and meta of `on`. The root that comes out has the meta
// of `state`: what is only meant for this process goes into `on`.
ExecState Run(const State& state, const State& on, Exec exec);

}  // namespace kiln::llb
