#include <algorithm>

#include "base/file.h"
#include "base/platform.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"
#include "worker/op/go_json.h"
#include "worker/op/selectors.h"

namespace kiln::worker {
namespace {

// The id of a cache mount counts only where a Dockerfile has not named one: such
// ids are equal to the target, perhaps behind a namespace.
bool HasOwnCacheId(const pb::Mount& mount) {
  const pb::CacheOpt& cache = mount.cacheopt();
  if (cache.sharing() != pb::SHARED) {
    return true;
  }
  std::string_view name_space, rest;
  return cache.id() != mount.dest() &&
         !(StrCut(cache.id(), "/", &name_space, &rest) && rest == mount.dest());
}

// A lone writable root mount is not part of the key: so it always was.
bool IsPlainRoot(const pb::ExecOp& op) {
  if (op.mounts_size() != 1) return false;
  const pb::Mount& mount = op.mounts(0);
  return mount.dest() == "/" && mount.selector().empty() && !mount.readonly() &&
         mount.mounttype() == pb::BIND && !mount.has_cacheopt() && !mount.has_sshopt() &&
         !mount.has_secretopt() && mount.resultid().empty();
}

pb::ExecOp KeyedPart(const pb::ExecOp& op) {
  pb::ExecOp keyed = op;
  for (pb::HostIP& host : *keyed.mutable_meta()->mutable_extrahosts()) host.clear_ip();
  for (pb::Mount& mount : *keyed.mutable_mounts()) {
    mount.clear_selector();
    if (mount.has_cacheopt() && HasOwnCacheId(mount)) {
      mount.mutable_cacheopt()->clear_id();
      mount.mutable_cacheopt()->clear_sharing();
    }
  }
  keyed.mutable_meta()->clear_proxy_env();
  if (IsPlainRoot(keyed)) keyed.clear_mounts();
  return keyed;
}

std::string PlatformJson(const pb::Platform* platform) {
  pb::Platform own;
  if (platform == nullptr) {
    Platform host = DefaultPlatform();
    own.set_os(host.os);
    own.set_architecture(host.architecture);
    own.set_variant(host.variant);
    platform = &own;
  }
  std::string out = StrCat(",\"OS\":", GoJsonString(platform->os()),
                           ",\"Arch\":", GoJsonString(platform->architecture()));
  if (!platform->variant().empty()) {
    out += StrCat(",\"Variant\":", GoJsonString(platform->variant()));
  }
  if (!platform->osversion().empty()) {
    out += StrCat(",\"OSVersion\":", GoJsonString(platform->osversion()));
  }
  if (platform->osfeatures_size() > 0) {
    std::vector<std::string> features;
    for (const std::string& feature : platform->osfeatures()) {
      features.push_back(GoJsonString(feature));
    }
    out += StrCat(",\"OSFeatures\":[", StrJoin(features, ","), "]");
  }
  return out;
}

// A mount as Go prints a message.
std::string GoText(const pb::Mount& mount) {
  return ReplaceAll(mount.ShortDebugString(), ": ", ":");
}

struct MountDep {
  std::vector<std::string> selectors;
  bool by_content = false;
};

// Content may stand for an input only where nothing of it that was not selected
// can reach the result.
StatusOr<bool> KeyedByContent(const pb::Mount& mount, std::string_view selector) {
  bool safe = mount.output() == -1 || mount.readonly() || selector == "/";
  switch (mount.contentcache()) {
    case pb::OFF:
      return false;
    case pb::ON:
      if (!safe) {
        return InvalidArgumentError(
            StrCat("invalid mount cache content ", GoText(mount)));
      }
      return true;
    default:
      return safe && mount.dest() != "/";
  }
}

StatusOr<std::vector<MountDep>> MountDeps(const pb::ExecOp& op, size_t inputs) {
  std::vector<MountDep> deps(inputs);
  for (const pb::Mount& mount : op.mounts()) {
    if (mount.mounttype() == pb::SECRET || mount.mounttype() == pb::SSH ||
        mount.mounttype() == pb::TMPFS || mount.input() == -1) {
      continue;
    }
    if (mount.input() < 0 || static_cast<size_t>(mount.input()) >= inputs) {
      return InvalidArgumentError(StrCat("invalid mountinput ", GoText(mount)));
    }
    MountDep& dep = deps[static_cast<size_t>(mount.input())];
    std::string selector = CleanPath("/" + mount.selector());
    ASSIGN_OR_RETURN(dep.by_content, KeyedByContent(mount, selector));
    dep.selectors.push_back(std::move(selector));
  }
  return deps;
}

std::vector<Selector> AsSelectors(const std::vector<std::string>& paths) {
  std::vector<Selector> out;
  for (const std::string& path : paths) {
    if (path.empty() || path == "/") return {};
    out.push_back({.path = path, .follow_links = true});
  }
  return out;
}

}  // namespace

StatusOr<solver::CacheMap> ExecCacheMap(const pb::ExecOp& op, const pb::Platform* platform,
                                        size_t inputs, const std::string& worker_id) {
  solver::CacheMap map;
  map.digest = Digest::Of(StrCat("{\"Type\":\"buildkit.exec.v0\",\"Exec\":",
                                 GoJson(KeyedPart(op)), PlatformJson(platform), "}"));
  ASSIGN_OR_RETURN(std::vector<MountDep> deps, MountDeps(op, inputs));
  map.deps.resize(inputs);
  for (size_t i = 0; i < inputs; ++i) {
    if (!deps[i].selectors.empty()) {
      map.deps[i].selector = Digest::Of(JoinZero(deps[i].selectors));
    }
    if (deps[i].by_content) {
      map.deps[i].content_digest =
          ContentDigestOf(AsSelectors(DedupePaths(deps[i].selectors)), worker_id);
    }
    map.deps[i].preprocess = ExtractInput;
  }
  return map;
}

solver::CacheMap PlainCacheMap(std::string_view type, std::string_view member,
                               const google::protobuf::Message& op, size_t inputs) {
  solver::CacheMap map;
  map.digest =
      Digest::Of(StrCat("{\"Type\":\"", type, "\",\"", member, "\":", GoJson(op), "}"));
  map.deps.resize(inputs);
  return map;
}

}  // namespace kiln::worker
