// The contract with scanners: sources under /run/src, results in /run/out, and
// BUILDKIT_SCAN_ variables.
#include "frontend/dockerfile/build/sbom.h"

#include "base/strings.h"
#include "llb/exec.h"
#include "llb/file_action.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

constexpr char kCore[] = "/run/src/core/sbom";
constexpr char kExtras[] = "/run/src/extras";
constexpr char kOut[] = "/run/out/";

llb::Mount Tmp(const llb::State& image, const Platform& platform) {
  llb::Mount mount;
  mount.target = "/tmp";
  if (platform.os != "windows") {
    mount.tmpfs = true;
    return mount;
  }
  llb::Mkdir mkdir;
  mkdir.path = "/tmp";
  mkdir.mode = 0777;
  mkdir.make_parents = true;
  mount.source = image.File(llb::FileAction(std::move(mkdir))).output();
  mount.selector = "/tmp";
  mount.no_output = true;
  return mount;
}

llb::Mount ReadOnly(std::string target, const llb::State& state) {
  llb::Mount mount;
  mount.target = std::move(target);
  mount.source = state.output();
  mount.read_only = true;
  return mount;
}

}  // namespace

StatusOr<SbomScanner> SbomScanner::Make(Client& client, const Sbom& sbom) {
  SbomScanner scanner(client);
  scanner.platform_ = client.config().build_platforms[0];
  scanner.parameters_ = sbom.parameters;
  ImageQuery query;
  query.platform = scanner.platform_;
  auto mode = client.opts().find("image-resolve-mode");
  if (mode != client.opts().end()) query.resolve_mode = mode->second;
  ASSIGN_OR_RETURN(const ResolvedImage resolved, client.images().Resolve(sbom.generator, query));
  if (!resolved.moved_to.empty()) return MovedError(sbom.generator, resolved);
  scanner.image_ = resolved.reference;
  ASSIGN_OR_RETURN(const oci::Image image, oci::ParseImage(resolved.config));
  scanner.args_ = image.config.entrypoint;
  scanner.args_.insert(scanner.args_.end(), image.config.cmd.begin(), image.config.cmd.end());
  if (scanner.args_.empty()) {
    return UnknownError(StrCat("scanner ", scanner.image_, " does not have cmd"));
  }
  scanner.env_ = image.config.env;
  scanner.dir_ = image.config.working_dir;
  return scanner;
}

StatusOr<frontend::Attestation> SbomScanner::Scan(const std::string& id,
                                                  const ConvertResult& target) {
  std::vector<std::string> env = env_;
  env.push_back(StrCat("BUILDKIT_SCAN_DESTINATION=", kOut));
  env.push_back(StrCat("BUILDKIT_SCAN_SOURCE=", kCore));
  if (!target.scan_extras.empty()) {
    env.push_back(StrCat("BUILDKIT_SCAN_SOURCE_EXTRAS=", kExtras));
  }
  for (const auto& [key, value] : parameters_) {
    env.push_back(StrCat("BUILDKIT_SCAN_", key, "=", value));
  }
  ASSIGN_OR_RETURN(const oci::Reference name, oci::ParseReference(image_));
  llb::ImageOptions image_options;
  image_options.constraints.platform = platform_;
  const llb::State image =
      llb::Image(oci::WithDefaultTag(name).Text(), std::move(image_options));
  llb::State on = image;
  on.SetDir(dir_);
  on.mutable_meta().args = args_;
  for (const std::string& pair : env) {
    std::string_view key, value;
    StrCut(pair, "=", &key, &value);
    on.SetEnv(key, std::string(value));
  }
  llb::Exec exec;
  exec.constraints.Named(StrCat("[", id, "] generating sbom using ", image_));
  exec.constraints.ignore_cache = target.ignore_cache;
  exec.mounts.push_back(Tmp(image, platform_));
  exec.mounts.push_back(ReadOnly(kCore, target.state));
  for (const auto& [extra, state] : target.scan_extras) {
    exec.mounts.push_back(ReadOnly(StrCat(kExtras, "/sbom-", extra), state));
  }
  llb::Mount out;
  out.target = kOut;
  exec.mounts.push_back(std::move(out));
  const size_t last = exec.mounts.size() - 1;
  const llb::ExecState run = llb::Run(image, on, std::move(exec));
  frontend::SolveRequest request;
  ASSIGN_OR_RETURN(request.definition, run.mount(last).Marshal());
  ASSIGN_OR_RETURN(const frontend::Result result,
                   client_->bridge().Solve(request, client_->stop()));
  frontend::Attestation attestation;
  attestation.kind = 1;  // bundle
  attestation.ref = result.ref;
  attestation.metadata = {{"reason", "sbom"}, {"sbom-core", "sbom"}};
  attestation.in_toto_predicate_type = "https://spdx.dev/Document";
  return attestation;
}

}  // namespace kiln::dockerfile
