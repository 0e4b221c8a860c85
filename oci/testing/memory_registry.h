// MemoryRegistry: a registry in this process, for tests: distribution API, and ways to
// lose what it holds.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/digest.h"
#include "oci/testing/http_server.h"

namespace kiln::oci::testing {

// Thread-safe. One repository space; names are not checked. Like real ones it refuses a
// manifest that names blobs which it does not have.
class MemoryRegistry {
 public:
  MemoryRegistry();
  std::string host() const { return server_.host(); }

  // "METHOD what", in order, since the last call: what is a digest, "uploads" or a tag.
  // A blob that has arrived whole is "SENT digest".
  std::vector<std::string> TakeLog();
  bool Has(const Digest& blob);
  void Lose(const Digest& blob);
  // Other bytes of the same length under the same name.
  void Damage(const Digest& blob);
  // Answers 503 to everything, or 401.
  void Refuse(unsigned status);

 private:
  struct Manifest {
    std::string type, bytes;
  };
  ServedAnswer Answer(const ServedRequest& request);
  ServedAnswer Blob(const ServedRequest& request, const std::string& digest);
  ServedAnswer Upload(const ServedRequest& request);
  ServedAnswer PutManifest(const ServedRequest& request, const std::string& name);
  ServedAnswer GetManifest(const std::string& name);

  std::mutex mutex_;
  std::map<std::string, std::string> blobs_;       // by digest
  std::map<std::string, Manifest> manifests_;      // by digest and by "repository:tag"
  std::vector<std::string> log_;
  unsigned refuse_ = 0;
  HttpServer server_;  // last: it calls Answer
};

}  // namespace kiln::oci::testing
