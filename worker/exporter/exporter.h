// Exporter: a Result becomes an image, an archive, files, a push.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "cache/ref.h"
#include "oci/descriptor.h"
#include "solver/progress.h"
#include "worker/client_session.h"

namespace kiln::worker {

struct ExportAttestation {
  int kind = 0;
  std::map<std::string, std::string> metadata;
  cache::Ref ref;           // where the content is, if it is not made by us
  std::string path;
  // The predicate, for what the daemon itself attests; asked for when all layers are made.
  std::function<StatusOr<std::string>()> content = {};
  std::string in_toto_predicate_type;
  struct Subject {
    int kind = 0;
    std::string name;
    std::vector<std::string> digests;
  };
  std::vector<Subject> subjects;
};

// What is exported: refs are evaluated. Metadata keys are the frontend's, and
// additions of control, per platform "key/id".
struct ExportSource {
  std::optional<cache::Ref> ref;             // single result (an empty Ref is scratch)
  std::map<std::string, cache::Ref> refs;    // by platform id
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::vector<ExportAttestation>> attestations;
};

// The value of "moby.buildkit.cache.v0" for an image's config, by platform id as in
// ExportSource::refs ("" for a single result). "" if there is nothing to say. Blocks.
using InlineCacheFn = std::function<StatusOr<std::string>(const std::string& platform_id)>;

struct ExportContext {
  std::string build_id;
  std::string session_id;
  std::string exporter_id;                   // which of the request's exporters this is
  int compatibility_version = 0;
  solver::VertexProgress* progress = nullptr;  // the "exporting to …" vertex
  InlineCacheFn inline_cache = {};             // null: none is wanted
  std::stop_token stop;
};

// One configured output of one build. Used by one thread.
class Exporter {
 public:
  virtual ~Exporter() = default;
  virtual std::string name() const = 0;      // "exporting to image"
  virtual std::string type() const = 0;
  // Response values ("containerimage.digest", …).
  virtual StatusOr<std::map<std::string, std::string>> Export(const ExportSource& source,
                                                              const ExportContext& context) = 0;
  // The compression that cache exports of the same build should use.
  virtual cache::CompressionOptions compression() const { return {}; }
};

// Makes exporters by type. NOT_FOUND in the reference's words for unknown types;
// INVALID_ARGUMENT for attributes that do not parse.
class ExporterTable {
 public:
  virtual ~ExporterTable() = default;
  virtual StatusOr<std::unique_ptr<Exporter>> Make(
      const std::string& type, const std::map<std::string, std::string>& attrs) = 0;
};

}  // namespace kiln::worker
