// SbomScanner: a step that runs a scanner image over a result and yields what it
// found as an attestation.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "frontend/bridge.h"
#include "frontend/dockerfile/convert/convert.h"
#include "frontend/dockerfile/ui/client.h"
#include "frontend/sbom/scan_step.h"

namespace kiln::dockerfile {

// Refers to the client. Not thread-safe.
class SbomScanner {
 public:
  // Resolves the scanner's image for the build platform.
  static StatusOr<SbomScanner> Make(Client& client, const Sbom& sbom);
  // Solves (lazily) the scan of one platform's result.
  StatusOr<frontend::Attestation> Scan(const std::string& id, const ConvertResult& target);

 private:
  explicit SbomScanner(Client& client) : client_(&client) {}

  Client* client_;
  frontend::Scanner scanner_;
};

}  // namespace kiln::dockerfile
