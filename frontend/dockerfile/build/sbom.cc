// The image is found as the frontend finds its base images.
#include "frontend/dockerfile/build/sbom.h"

namespace kiln::dockerfile {

StatusOr<SbomScanner> SbomScanner::Make(Client& client, const Sbom& sbom) {
  SbomScanner scanner(client);
  ImageQuery query;
  query.platform = client.config().build_platforms[0];
  auto mode = client.opts().find("image-resolve-mode");
  if (mode != client.opts().end()) query.resolve_mode = mode->second;
  ASSIGN_OR_RETURN(const ResolvedImage resolved, client.images().Resolve(sbom.generator, query));
  if (!resolved.moved_to.empty()) return MovedError(sbom.generator, resolved);
  ASSIGN_OR_RETURN(scanner.scanner_,
                   frontend::MakeScanner(resolved.reference, client.config().build_platforms[0],
                                         resolved.config, sbom.parameters));
  return scanner;
}

StatusOr<frontend::Attestation> SbomScanner::Scan(const std::string& id,
                                                  const ConvertResult& target) {
  return frontend::Scan(client_->bridge(), scanner_,
                        {id, target.state, target.scan_extras, target.ignore_cache},
                        client_->stop());
}

}  // namespace kiln::dockerfile
