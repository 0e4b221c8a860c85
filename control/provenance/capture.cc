// Collecting without doubles, and sorting. See capture.h.
#include "control/provenance/capture.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_set>

#include "base/strings.h"
#include "base/url.h"
#include "llb/git_ref.h"
#include "llb/proto/ops.pb.h"
#include "oci/reference.h"

namespace kiln::control {
namespace {

bool SamePlatform(const std::optional<Platform>& a, const std::optional<Platform>& b) {
  if (!a || !b) return !a && !b;
  return a->architecture == b->architecture && a->os == b->os && a->os_version == b->os_version &&
         a->variant == b->variant;
}

void AddName(std::vector<NameUse>& names, const NameUse& name) {
  for (NameUse& known : names) {
    if (known.id != name.id) continue;
    known.optional = known.optional && name.optional;
    return;
  }
  names.push_back(name);
}

std::map<std::string, std::string> DigestOfCommit(const std::string& commit) {
  return {{commit.size() == 64 ? "sha256" : "sha1", commit}};
}

std::string Attr(const pb::SourceOp& source, const std::string& name) {
  auto entry = source.attrs().find(name);
  return entry == source.attrs().end() ? "" : entry->second;
}

Platform PlatformOf(const pb::Op& op) {
  if (!op.has_platform()) return NormalizePlatform(DefaultPlatform());
  const pb::Platform& from = op.platform();
  return NormalizePlatform({from.os(), from.architecture(), from.variant(), from.osversion(),
                            {from.osfeatures().begin(), from.osfeatures().end()}});
}

void CaptureSource(const pb::Op& op, const PinnedSource& pinned, Capture* capture) {
  const pb::SourceOp& source = op.source();
  std::string_view scheme, rest;
  if (!StrCut(source.identifier(), "://", &scheme, &rest)) return;
  std::string ref(rest);
  if (scheme == "docker-image" || scheme == "oci-layout") {
    capture->AddImage({ref, PlatformOf(op), Digest::Trusted(pinned.pin), scheme == "oci-layout"});
  } else if (scheme == "docker-image+blob" || scheme == "oci-layout+blob") {
    capture->AddBlob({ref, Digest::Trusted(pinned.pin), scheme == "oci-layout+blob"});
  } else if (scheme == "local") {
    capture->AddLocal(ref);
  } else if (scheme == "http" || scheme == "https") {
    capture->AddHttp({pinned.url, Digest::Trusted(pinned.pin)});
  } else if (scheme == "git") {
    capture->AddGit({pinned.url, pinned.pin, Attr(source, "git.bundle")});
    for (const char* secret : {"git.authtokensecret", "git.authheadersecret"}) {
      if (std::string id = Attr(source, secret); !id.empty()) capture->AddSecret({id, true});
    }
    if (std::string id = Attr(source, "git.mountsshsock"); !id.empty()) {
      capture->AddSsh({id, true});
    }
  }
}

void CaptureExec(const pb::ExecOp& exec, Capture* capture) {
  for (const pb::Mount& mount : exec.mounts()) {
    if (mount.mounttype() == pb::MountType::SECRET) {
      capture->AddSecret({mount.secretopt().id(), mount.secretopt().optional()});
    }
    if (mount.mounttype() == pb::MountType::SSH) {
      capture->AddSsh({mount.sshopt().id(), mount.sshopt().optional()});
    }
  }
  for (const pb::SecretEnv& secret : exec.secretenv()) {
    capture->AddSecret({secret.id(), secret.optional()});
  }
  if (exec.network() != pb::NetMode::NONE) capture->network_access = true;
}

void CaptureProxied(const llb::Vertex& vertex, const FindProxied& find, Capture* capture) {
  if (!vertex.proxy_network) return;
  capture->proxy_network = true;
  auto step = find ? find(vertex.digest) : std::nullopt;
  if (!step) return;
  for (HttpUse& material : step->materials) capture->AddHttp(std::move(material));
  const auto& args = vertex.op->exec().meta().args();
  for (ProxyGapUse& gap : step->gaps) {
    capture->incomplete_materials = true;
    gap.op = vertex.digest.text();
    gap.name = StrJoin(std::vector<std::string>(args.begin(), args.end()), " ");
    capture->proxy_gaps.push_back(std::move(gap));
  }
}

bool SameMaybe(const RequestUsePtr& a, const RequestUsePtr& b) {
  if (a == nullptr || b == nullptr) return a == b;
  return SameRequest(*a, *b);
}

// The source that `uri` means, as where a request came from.
bool FindSource(const Sources& sources, const std::string& uri, ConfigSource* found) {
  std::string plain = llb::GitFragmentFormat(uri, false);
  for (const GitUse& git : sources.git) {
    if (git.url != plain) continue;
    found->uri = llb::GitFragmentFormat(uri, true);
    found->digest = DigestOfCommit(git.commit);
    return true;
  }
  for (const HttpUse& http : sources.http) {
    if (http.url != plain) continue;
    found->uri = http.url;
    found->digest = {{std::string(http.digest.algorithm()), std::string(http.digest.hex())}};
    return true;
  }
  return false;
}

}  // namespace

bool SameRequest(const RequestUse& a, const RequestUse& b) {
  const Parameters &x = a.request, &y = b.request;
  if (!(a.config == b.config) || x.frontend != y.frontend || x.args != y.args ||
      x.compatibility_version != y.compatibility_version || x.secrets != y.secrets ||
      x.ssh != y.ssh || x.locals != y.locals || x.inputs.size() != y.inputs.size()) {
    return false;
  }
  for (const auto& [name, input] : x.inputs) {
    auto other = y.inputs.find(name);
    if (other == y.inputs.end() || !SameMaybe(input, other->second)) return false;
  }
  return SameMaybe(x.root, y.root);
}

void Capture::AddImage(const ImageUse& image) {
  for (const ImageUse& known : sources.images) {
    if (known.ref == image.ref && known.local == image.local &&
        SamePlatform(known.platform, image.platform)) {
      return;
    }
  }
  sources.images.push_back(image);
}

void Capture::AddBlob(const BlobUse& blob) {
  for (const BlobUse& known : sources.blobs) {
    if (known.ref == blob.ref && known.local == blob.local) return;
  }
  sources.blobs.push_back(blob);
}

void Capture::AddGit(GitUse git) {
  git.url = RedactUrl(git.url);
  for (const GitUse& known : sources.git) {
    if (known.url == git.url && known.bundle == git.bundle) return;
  }
  sources.git.push_back(std::move(git));
}

void Capture::AddHttp(HttpUse http) {
  http.url = RedactUrl(http.url);
  for (const HttpUse& known : sources.http) {
    if (known.url == http.url) return;
  }
  sources.http.push_back(std::move(http));
}

void Capture::AddLocal(const std::string& name) {
  if (std::find(sources.locals.begin(), sources.locals.end(), name) == sources.locals.end()) {
    sources.locals.push_back(name);
  }
}

void Capture::AddSecret(const NameUse& secret) { AddName(request.secrets, secret); }

void Capture::AddSsh(NameUse agent) {
  if (agent.id.empty()) agent.id = "default";
  AddName(request.ssh, agent);
}

void Capture::Merge(const Capture& other) {
  for (const ImageUse& image : other.sources.images) AddImage(image);
  for (const BlobUse& blob : other.sources.blobs) AddBlob(blob);
  for (const std::string& name : other.sources.locals) AddLocal(name);
  for (const GitUse& git : other.sources.git) AddGit(git);
  for (const HttpUse& http : other.sources.http) AddHttp(http);
  for (const NameUse& secret : other.request.secrets) AddSecret(secret);
  for (const NameUse& agent : other.request.ssh) AddSsh(agent);
  network_access = network_access || other.network_access;
  incomplete_materials = incomplete_materials || other.incomplete_materials;
  proxy_network = proxy_network || other.proxy_network;
  proxy_gaps.insert(proxy_gaps.end(), other.proxy_gaps.begin(), other.proxy_gaps.end());
  usage.insert(other.usage.begin(), other.usage.end());
}

Status Capture::OptimizeImages() {
  std::vector<oci::Reference> refs;
  std::set<std::string> tagged;
  auto name_of = [](const oci::Reference& ref) {
    return StrCat(ref.Name(), ":", ref.tag.empty() ? "latest" : ref.tag);
  };
  for (const ImageUse& image : sources.images) {
    ASSIGN_OR_RETURN(oci::Reference ref, oci::ParseReference(image.ref));
    if (ref.digest.empty()) tagged.insert(name_of(ref));
    refs.push_back(std::move(ref));
  }
  std::vector<ImageUse> kept;
  for (size_t i = 0; i < refs.size(); ++i) {
    bool by_digest = !refs[i].digest.empty();
    if (by_digest && tagged.contains(name_of(refs[i]))) continue;
    kept.push_back(std::move(sources.images[i]));
  }
  sources.images = std::move(kept);
  return OkStatus();
}

void Capture::Sort() {
  auto by_ref = [](const auto& a, const auto& b) { return a.ref < b.ref; };
  auto by_url = [](const auto& a, const auto& b) { return a.url < b.url; };
  auto by_id = [](const NameUse& a, const NameUse& b) { return a.id < b.id; };
  std::stable_sort(sources.images.begin(), sources.images.end(), by_ref);
  std::stable_sort(sources.blobs.begin(), sources.blobs.end(), by_ref);
  std::stable_sort(sources.locals.begin(), sources.locals.end());
  std::stable_sort(sources.git.begin(), sources.git.end(), by_url);
  std::stable_sort(sources.http.begin(), sources.http.end(), by_url);
  std::stable_sort(request.secrets.begin(), request.secrets.end(), by_id);
  std::stable_sort(request.ssh.begin(), request.ssh.end(), by_id);
  std::stable_sort(proxy_gaps.begin(), proxy_gaps.end(),
                   [](const ProxyGapUse& a, const ProxyGapUse& b) {
                     return std::tie(a.op, a.uri, a.method, a.reason) <
                            std::tie(b.op, b.uri, b.method, b.reason);
                   });
}

Capture CaptureGraph(const llb::Edge& edge, const FindPin& find_pin,
                     const FindProxied& find_proxied, const FindUsage& find_usage) {
  Capture capture;
  if (edge.vertex == nullptr) return capture;
  std::unordered_set<const llb::Vertex*> seen;
  std::vector<const llb::Vertex*> open = {edge.vertex.get()};
  while (!open.empty()) {  // a step before its inputs, those in order
    const llb::Vertex* vertex = open.back();
    open.pop_back();
    if (!seen.insert(vertex).second) continue;
    const pb::Op& op = *vertex->op;
    if (op.has_source()) {
      auto pinned = find_pin(vertex->digest);
      if (pinned) CaptureSource(op, *pinned, &capture);
    }
    if (op.has_exec()) {
      CaptureExec(op.exec(), &capture);
      CaptureProxied(*vertex, find_proxied, &capture);
      if (auto usage = find_usage ? find_usage(vertex->digest) : std::nullopt) {
        capture.usage[vertex->digest.text()] = *std::move(usage);
      }
    }
    if (op.has_build()) capture.incomplete_materials = true;  // what it brought in is not known
    for (auto input = vertex->inputs.rbegin(); input != vertex->inputs.rend(); ++input) {
      open.push_back(input->vertex.get());
    }
  }
  return capture;
}

std::map<std::string, std::string> FilterArgs(const std::map<std::string, std::string>& opts) {
  static const std::set<std::string_view> kHostSpecific = {"cgroup-parent", "image-resolve-mode",
                                                           "platform", "cache-imports"};
  std::string context = "context";
  if (auto key = opts.find("contextkey"); key != opts.end() && !key->second.empty()) {
    context = key->second;
  }
  std::map<std::string, std::string> args;
  for (const auto& [key, value] : opts) {
    if (kHostSpecific.contains(key) || key.starts_with("attest:")) continue;
    bool address = key == context || key.starts_with("context:");
    args[key] = address ? RedactUrl(value) : value;
  }
  return args;
}

RequestUse MakeRequestUse(const std::string& frontend, std::map<std::string, std::string> args,
                          const Sources& sources) {
  auto value_of = [&](const std::string& key) {
    auto entry = args.find(key);
    return entry == args.end() ? std::string() : entry->second;
  };
  std::string key = value_of("contextkey");
  if (key.empty()) key = value_of("input:context").empty() ? "context" : "input:context";
  RequestUse use;
  if (std::string uri = value_of(key); !uri.empty()) {
    if (!FindSource(sources, uri, &use.config)) use.config.uri = uri;
    use.config.uri = RedactUrl(use.config.uri);
    args.erase(key);
  }
  if (std::string path = value_of("filename"); !path.empty()) {
    use.config.path = path;
    args.erase("filename");
  }
  use.request.frontend = frontend;
  use.request.args = std::move(args);
  return use;
}

}  // namespace kiln::control
