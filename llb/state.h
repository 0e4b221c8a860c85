// State: a file system as the result of steps, and how further steps would run on
// it. The builder with which frontends and programs write definitions.
//
// A State is a value: copying is cheap, and steps make new outputs without
// touching the old ones. Nothing runs here. Definitions that come out are, byte
// for byte, those of the reference's builder for the same calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "llb/caps.h"
#include "llb/constraints.h"
#include "llb/env_list.h"

namespace kiln::llb {

class Node;
struct FileActions;
using DefinitionPtr = std::shared_ptr<const pb::Definition>;

// One output of a step. Immutable and shared; safe on every thread.
struct Output {
  std::shared_ptr<const Node> node;  // null: scratch
  int slot = 0;                      // which of the node's outputs
};

enum class NetMode { kSandbox = 0, kHost = 1, kNone = 2 };
enum class SecurityMode { kSandbox = 0, kInsecure = 1 };

struct HostIp {
  std::string host;
  std::string ip;
};
struct Ulimit {
  std::string name;
  int64_t soft = 0;
  int64_t hard = 0;
};

// How a process on the state would be started.
struct ExecMeta {
  EnvList env;
  std::string dir = "/";
  std::string user;
  std::string hostname;
  std::string cgroup_parent;
  std::vector<std::string> args;
  std::vector<HostIp> extra_hosts;
  std::vector<Ulimit> ulimits;
  std::vector<int32_t> valid_exit_codes;
  std::optional<Platform> platform;
  NetMode network = NetMode::kSandbox;
  SecurityMode security = SecurityMode::kSandbox;
};

struct MarshalOptions {
  std::optional<Platform> platform;  // for steps that name none; default: the host's
  CapPredicate caps;                 // empty: unknown, nothing is decided by them
  std::string local_unique_id;       // for locals without a session; default: random
};

// Not thread-safe while it is changed; copies are independent.
class State {
 public:
  State();  // scratch
  explicit State(Output output);

  const Output& output() const { return output_; }
  bool scratch() const { return output_.node == nullptr; }
  const ExecMeta& meta() const { return *meta_; }
  // For changing; unshares first.
  ExecMeta& mutable_meta();
  void SetEnv(std::string_view key, std::string value);
  // Relative ones are joined to the directory so far.
  void SetDir(std::string_view dir);
  void SetPlatform(const Platform& platform);

  // The same meta on another file system.
  State WithOutput(Output output) const;
  // The file system after `actions`.
  State File(FileActions actions, Constraints constraints = {}) const;
  // Env, working directory and platform of an image config (JSON).
  StatusOr<State> WithImageConfig(std::string_view config) const;

  // The definition of this file system; without ops for scratch. Costs time
  // linear in the number of steps. Errors are the reference's.
  StatusOr<DefinitionPtr> Marshal(const MarshalOptions& options = {}) const;

 private:
  Output output_;
  std::shared_ptr<ExecMeta> meta_;
};

// Layers the states; scratch ones do not count.
State Merge(const std::vector<State>& inputs, Constraints constraints = {});
// What changed from `lower` to `upper`.
State Diff(const State& lower, const State& upper, Constraints constraints = {});
// The result of a definition, as a state to build upon. INVALID_ARGUMENT if it does not decode.
StatusOr<State> FromDefinition(const pb::Definition& definition);
// A file system that is only known later: `resolve` is called once, when first needed.
State Deferred(std::function<Output()> resolve);

// Digest of the step that a definition's last op points to; empty for scratch.
std::string HeadOf(const pb::Definition& definition);

}  // namespace kiln::llb
