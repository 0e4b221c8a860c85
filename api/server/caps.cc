// Capabilities of the LLB and of the gateway, as of the version we follow.
//
// Clients and frontends test for these ids; all are enabled. Sorted. Two more have names in
// the reference, exec.meta.removemountstubs.recursive and file.copy.modestring, which its
// daemon does not list.
#include "api/proto/gateway.pb.h"
#include "api/server/bridge_calls.h"
#include "api/server/worker_codec.h"

namespace kiln::api {
namespace {

constexpr std::string_view kLlbCaps[] = {
    "cache.azblob",
    "cache.gha",
    "cache.s3",
    "constraints",
    "diffop",
    "exec.cgroup",
    "exec.meta.base",
    "exec.meta.cdi",
    "exec.meta.cgroup.parent",
    "exec.meta.linux.resources",
    "exec.meta.network",
    "exec.meta.network.proxy",
    "exec.meta.proxyenv",
    "exec.meta.security",
    "exec.meta.security.devices.v1",
    "exec.meta.setsdefaultpath",
    "exec.meta.ulimit",
    "exec.mount.bind",
    "exec.mount.bind.readwrite-nooutput",
    "exec.mount.cache",
    "exec.mount.cache.content",
    "exec.mount.cache.sharing",
    "exec.mount.secret",
    "exec.mount.selector",
    "exec.mount.ssh",
    "exec.mount.tmpfs",
    "exec.mount.tmpfs.size",
    "exec.secretenv",
    "exec.validexitcode",
    "exporter.image.annotations",
    "exporter.image.attestations",
    "exporter.multiple",
    "exporter.session",
    "exporter.sourcedateepoch",
    "file.base",
    "file.copy.alwaysreplaceexistingdestpaths",
    "file.copy.includeexcludepatterns",
    "file.copy.requiredpaths",
    "file.rm.nofollowsymlink",
    "file.rm.wildcard",
    "file.symlink.create",
    "gc.freespacefilter",
    "history.filter",
    "mergeop",
    "meta.description",
    "meta.exportcache",
    "meta.ignorecache",
    "passthroughop",
    "platform",
    "soruce.http.uidgid",
    "source.buildop.llbfilename",
    "source.git",
    "source.git.bundle",
    "source.git.checkoutbundle",
    "source.git.checksum",
    "source.git.fetchbycommit",
    "source.git.fullurl",
    "source.git.httpauth",
    "source.git.keepgitdir",
    "source.git.knownsshhosts",
    "source.git.mountsshsock",
    "source.git.mtime",
    "source.git.signatureverify",
    "source.git.skipsubmodules",
    "source.git.subdir",
    "source.http",
    "source.http.auth",
    "source.http.checksum",
    "source.http.header",
    "source.http.perm",
    "source.http.signatureverify",
    "source.image",
    "source.image.checksum",
    "source.image.layerlimit",
    "source.image.resolvemode",
    "source.imageblob",
    "source.local",
    "source.local.differ",
    "source.local.excludepatterns",
    "source.local.followpaths",
    "source.local.includepatterns",
    "source.local.metadatatransfer",
    "source.local.sessionid",
    "source.local.sharedkeyhint",
    "source.local.unique",
    "source.ocilayout",
    "source.policy",
    "source.policy.session",
};

constexpr std::string_view kGatewayCaps[] = {
    "frontend.caps",
    "frontend.inputs",
    "gateway.evaluate",
    "gateway.exec",
    "gateway.exec.extrahosts",
    "gateway.exec.filesystem",
    "gateway.exec.secretenv",
    "gateway.exec.signals",
    "gateway.solve.evaluate",
    "gateway.solve.metadata",
    "gateway.warnings",
    "importcaches",
    "proto.refarray",
    "readdir",
    "readfile",
    "reference.attestations",
    "reference.output",
    "resolveimage",
    "resolveimage.resolvemode",
    "return",
    "returnmap",
    "solve.base",
    "solve.inlinereturn",
    "source.metaresolver",
    "source.metaresolver.http.checksumrequest",
    "source.metaresolver.image.attestations",
    "statfile",
};

// Still answered for old clients, to be used by nobody.
constexpr std::string_view kDeprecated = "solve.inlinereturn";

}  // namespace

void Pong(const ServerParts& parts, gateway::PongResponse* response) {
  for (std::string_view id : kGatewayCaps) {
    auto* cap = response->add_frontendapicaps();
    cap->set_id(std::string(id));
    cap->set_enabled(true);
    cap->set_deprecated(id == kDeprecated);
  }
  for (std::string_view id : kLlbCaps) {
    auto* cap = response->add_llbcaps();
    cap->set_id(std::string(id));
    cap->set_enabled(true);
  }
  auto* worker = response->add_workers();
  worker->set_id(parts.worker.id);
  worker->mutable_labels()->insert(parts.worker.labels.begin(), parts.worker.labels.end());
  for (const Platform& platform : parts.worker.platforms) {
    FillPlatform(platform, worker->add_platforms());
  }
}

}  // namespace kiln::api
