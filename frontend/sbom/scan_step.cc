// The contract with scanners: sources under /run/src, results in /run/out, and
// BUILDKIT_SCAN_ variables.
#include "frontend/sbom/scan_step.h"

#include "base/strings.h"
#include "llb/exec.h"
#include "llb/file_action.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"
#include "oci/image_config.h"
#include "oci/reference.h"
#include "oci/reference.h"

namespace kiln::frontend {
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

std::vector<std::string> EnvOf(const Scanner& scanner, const ScanTarget& target) {
  std::vector<std::string> env = scanner.env;
  env.push_back(StrCat("BUILDKIT_SCAN_DESTINATION=", kOut));
  env.push_back(StrCat("BUILDKIT_SCAN_SOURCE=", kCore));
  if (!target.extras.empty()) env.push_back(StrCat("BUILDKIT_SCAN_SOURCE_EXTRAS=", kExtras));
  for (const auto& [key, value] : scanner.parameters) {
    env.push_back(StrCat("BUILDKIT_SCAN_", key, "=", value));
  }
  return env;
}

}  // namespace

StatusOr<Scanner> MakeScanner(const std::string& image, const Platform& platform,
                              const std::string& config,
                              const std::map<std::string, std::string>& parameters) {
  ASSIGN_OR_RETURN(const oci::Image parsed, oci::ParseImage(config));
  Scanner scanner{platform, image, parsed.config.entrypoint, parsed.config.env,
                  parsed.config.working_dir, parameters};
  scanner.args.insert(scanner.args.end(), parsed.config.cmd.begin(), parsed.config.cmd.end());
  if (scanner.args.empty()) {
    return UnknownError(StrCat("scanner ", image, " does not have cmd"));
  }
  return scanner;
}

StatusOr<Attestation> Scan(Bridge& bridge, const Scanner& scanner, const ScanTarget& target,
                           std::stop_token stop) {
  ASSIGN_OR_RETURN(const oci::Reference name, oci::ParseReference(scanner.image));
  llb::ImageOptions image_options;
  image_options.constraints.platform = scanner.platform;
  const llb::State image =
      llb::Image(oci::WithDefaultTag(name).Text(), std::move(image_options));
  llb::State on = image;
  on.SetDir(scanner.dir);
  on.mutable_meta().args = scanner.args;
  for (const std::string& pair : EnvOf(scanner, target)) {
    std::string_view key, value;
    StrCut(pair, "=", &key, &value);
    on.SetEnv(key, std::string(value));
  }
  llb::Exec exec;
  exec.constraints.Named(StrCat("[", target.id, "] generating sbom using ", scanner.image));
  exec.constraints.ignore_cache = target.ignore_cache;
  exec.mounts.push_back(Tmp(image, scanner.platform));
  exec.mounts.push_back(ReadOnly(kCore, target.core));
  for (const auto& [extra, state] : target.extras) {
    exec.mounts.push_back(ReadOnly(StrCat(kExtras, "/sbom-", extra), state));
  }
  llb::Mount out;
  out.target = kOut;
  exec.mounts.push_back(std::move(out));
  const size_t last = exec.mounts.size() - 1;
  const llb::ExecState run = llb::Run(image, on, std::move(exec));
  SolveRequest request;
  ASSIGN_OR_RETURN(request.definition, run.mount(last).Marshal());
  ASSIGN_OR_RETURN(const Result result, bridge.Solve(request, std::move(stop)));
  Attestation attestation;
  attestation.kind = 1;  // bundle
  attestation.ref = result.ref;
  attestation.metadata = {{"reason", "sbom"}, {"sbom-core", "sbom"}};
  attestation.in_toto_predicate_type = "https://spdx.dev/Document";
  return attestation;
}

}  // namespace kiln::frontend
