// Names of the LLB capabilities: what a definition may ask of the daemon.
#pragma once

#include <functional>
#include <string_view>

namespace kiln::llb {

// Whether the daemon has a capability.
using CapPredicate = std::function<bool(std::string_view cap)>;

inline constexpr std::string_view kCapSourceImage = "source.image";
inline constexpr std::string_view kCapSourceImageResolveMode = "source.image.resolvemode";
inline constexpr std::string_view kCapSourceImageLayerLimit = "source.image.layerlimit";
inline constexpr std::string_view kCapSourceImageChecksum = "source.image.checksum";
inline constexpr std::string_view kCapSourceLocal = "source.local";
inline constexpr std::string_view kCapSourceLocalUnique = "source.local.unique";
inline constexpr std::string_view kCapSourceLocalSessionId = "source.local.sessionid";
inline constexpr std::string_view kCapSourceLocalIncludePatterns = "source.local.includepatterns";
inline constexpr std::string_view kCapSourceLocalFollowPaths = "source.local.followpaths";
inline constexpr std::string_view kCapSourceLocalExcludePatterns = "source.local.excludepatterns";
inline constexpr std::string_view kCapSourceLocalSharedKeyHint = "source.local.sharedkeyhint";
inline constexpr std::string_view kCapSourceLocalDiffer = "source.local.differ";
inline constexpr std::string_view kCapSourceGit = "source.git";
inline constexpr std::string_view kCapSourceGitKeepDir = "source.git.keepgitdir";
inline constexpr std::string_view kCapSourceGitFullUrl = "source.git.fullurl";
inline constexpr std::string_view kCapSourceGitHttpAuth = "source.git.httpauth";
inline constexpr std::string_view kCapSourceGitKnownSshHosts = "source.git.knownsshhosts";
inline constexpr std::string_view kCapSourceGitMountSshSock = "source.git.mountsshsock";
inline constexpr std::string_view kCapSourceGitChecksum = "source.git.checksum";
inline constexpr std::string_view kCapSourceGitSkipSubmodules = "source.git.skipsubmodules";
inline constexpr std::string_view kCapSourceGitMTime = "source.git.mtime";
inline constexpr std::string_view kCapSourceGitFetchByCommit = "source.git.fetchbycommit";
inline constexpr std::string_view kCapSourceHttp = "source.http";
inline constexpr std::string_view kCapSourceHttpChecksum = "source.http.checksum";
inline constexpr std::string_view kCapSourceHttpPerm = "source.http.perm";
inline constexpr std::string_view kCapSourceHttpUidGid = "soruce.http.uidgid";  // as it is spelt
inline constexpr std::string_view kCapSourceOciLayout = "source.ocilayout";
inline constexpr std::string_view kCapExecMetaBase = "exec.meta.base";
inline constexpr std::string_view kCapExecMetaCgroupParent = "exec.meta.cgroup.parent";
inline constexpr std::string_view kCapExecMetaNetwork = "exec.meta.network";
inline constexpr std::string_view kCapExecMetaProxy = "exec.meta.proxyenv";
inline constexpr std::string_view kCapExecMetaSecurity = "exec.meta.security";
inline constexpr std::string_view kCapExecMetaSetsDefaultPath = "exec.meta.setsdefaultpath";
inline constexpr std::string_view kCapExecMetaUlimit = "exec.meta.ulimit";
inline constexpr std::string_view kCapExecMetaCdi = "exec.meta.cdi";
inline constexpr std::string_view kCapExecMetaLinuxResources = "exec.meta.linux.resources";
inline constexpr std::string_view kCapExecMountBind = "exec.mount.bind";
inline constexpr std::string_view kCapExecMountBindReadWriteNoOutput =
    "exec.mount.bind.readwrite-nooutput";
inline constexpr std::string_view kCapExecMountCache = "exec.mount.cache";
inline constexpr std::string_view kCapExecMountCacheSharing = "exec.mount.cache.sharing";
inline constexpr std::string_view kCapExecMountSelector = "exec.mount.selector";
inline constexpr std::string_view kCapExecMountTmpfs = "exec.mount.tmpfs";
inline constexpr std::string_view kCapExecMountTmpfsSize = "exec.mount.tmpfs.size";
inline constexpr std::string_view kCapExecMountSecret = "exec.mount.secret";
inline constexpr std::string_view kCapExecMountSsh = "exec.mount.ssh";
inline constexpr std::string_view kCapExecMountContentCache = "exec.mount.cache.content";
inline constexpr std::string_view kCapExecSecretEnv = "exec.secretenv";
inline constexpr std::string_view kCapExecValidExitCode = "exec.validexitcode";
inline constexpr std::string_view kCapFileBase = "file.base";
inline constexpr std::string_view kCapConstraints = "constraints";
inline constexpr std::string_view kCapPlatform = "platform";
inline constexpr std::string_view kCapMetaIgnoreCache = "meta.ignorecache";
inline constexpr std::string_view kCapMetaDescription = "meta.description";
inline constexpr std::string_view kCapMetaExportCache = "meta.exportcache";
inline constexpr std::string_view kCapMergeOp = "mergeop";
inline constexpr std::string_view kCapDiffOp = "diffop";

}  // namespace kiln::llb
