// A finished build as a record and the blobs that it names.
#include "api/proto/control.pb.h"
#include "api/server/history_log.h"
#include "api/server/history_trace.h"
#include "api/server/progress_codec.h"
#include "api/server/server.h"
#include "api/tunnel/error_stack.h"
#include "api/tunnel/grpc_status.h"
#include "base/log.h"
#include "base/strings.h"
#include "oci/manifest.h"

namespace kiln::api {
namespace {

namespace wire = moby::buildkit::v1;

constexpr std::string_view kLogType = "application/vnd.buildkit.status.v0";
// Misspelt where it comes from.
constexpr std::string_view kErrorType = "application/vnd.googeapis.google.rpc.status+proto";
constexpr std::string_view kTraceType = "application/vnd.buildkit.otlp.json.v0";
constexpr std::string_view kStatementType = "application/vnd.in-toto+json";

class RecordBlobs {
 public:
  explicit RecordBlobs(cache::ContentStore& content) : content_(content) {}

  Status Write(std::string_view bytes, std::string_view type, wire::Descriptor* out) {
    ASSIGN_OR_RETURN(oci::Descriptor blob, cache::WriteBlob(content_, bytes, type));
    Name(blob, out);
    blobs_.push_back(blob.digest);
    return OkStatus();
  }
  void Name(const oci::Descriptor& blob, wire::Descriptor* out) {
    out->set_media_type(blob.media_type);
    out->set_digest(blob.digest.text());
    out->set_size(blob.size);
    out->mutable_annotations()->insert(blob.annotations.begin(), blob.annotations.end());
  }
  // What describes an image is kept, and what attests it; its layers are not.
  void KeepResult(const oci::Descriptor& root) {
    if (!content_.Stat(root.digest).ok()) return;
    blobs_.push_back(root.digest);
    StatusOr<std::string> bytes = std::string();
    if (oci::IsIndexType(root.media_type) || oci::IsManifestType(root.media_type)) {
      bytes = cache::ReadBlob(content_, root);
    }
    if (!bytes.ok() || bytes->empty()) return;
    if (oci::IsIndexType(root.media_type)) {
      StatusOr<oci::Index> index = oci::ParseIndex(*bytes);
      if (!index.ok()) return;
      for (const oci::Descriptor& manifest : index->manifests) KeepResult(manifest);
      return;
    }
    StatusOr<oci::Manifest> manifest = oci::ParseManifest(*bytes);
    if (!manifest.ok()) return;
    KeepResult(manifest->config);
    for (const oci::Descriptor& layer : manifest->layers) {
      if (layer.media_type == kStatementType) KeepResult(layer);
    }
  }
  std::vector<Digest> Take() { return std::move(blobs_); }

 private:
  cache::ContentStore& content_;
  std::vector<Digest> blobs_;
};

Status AddResults(const control::BuildFacts& facts, RecordBlobs* blobs,
                  wire::BuildHistoryRecord* body) {
  for (const auto& [id, json] : facts.provenance) {
    wire::BuildResultInfo& info =
        id.empty() ? *body->mutable_result() : (*body->mutable_results())[id];
    wire::Descriptor* attestation = info.add_attestations();
    RETURN_IF_ERROR(blobs->Write(json, kStatementType, attestation));
    (*attestation->mutable_annotations())["in-toto.io/predicate-type"] =
        control::PredicateType(/*slsa02=*/false);
  }
  for (const auto& [index, descriptor] : facts.results) {
    wire::BuildResultInfo& info = *body->mutable_result();
    blobs->Name(descriptor, &(*info.mutable_results())[index]);
    // Older clients know of one only.
    if (!info.has_resultdeprecated()) blobs->Name(descriptor, info.mutable_resultdeprecated());
    blobs->KeepResult(descriptor);
  }
  return OkStatus();
}

Status AddEnd(const control::BuildOutcome& outcome, RecordBlobs* blobs,
              wire::BuildHistoryRecord* body) {
  SetTimestamp(outcome.completed, body->mutable_completedat());
  control::ProgressLog::Counts counts = outcome.progress->counts();
  body->set_numtotalsteps(counts.total);
  body->set_numcachedsteps(counts.cached);
  body->set_numcompletedsteps(counts.completed);
  body->set_numwarnings(counts.warnings);
  body->mutable_exporterresponse()->insert(outcome.facts->metadata.begin(),
                                           outcome.facts->metadata.end());
  std::vector<solver::ProgressEvent> events = outcome.progress->events();
  RETURN_IF_ERROR(
      blobs->Write(EncodeHistoryLog(std::move(events)), kLogType, body->mutable_logs()));
  RETURN_IF_ERROR(AddResults(*outcome.facts, blobs, body));
  if (outcome.status->ok()) return OkStatus();
  ToRpcStatus(WithStack(*outcome.status), body->mutable_error());
  RETURN_IF_ERROR(blobs->Write(body->error().SerializeAsString(), kErrorType,
                               body->mutable_externalerror()));
  body->mutable_error()->clear_details();
  return OkStatus();
}

std::function<Status(control::HistoryRecord&)> AddTraceLater(
    const control::BuildOutcome& outcome) {
  std::string trace = EncodeHistoryTrace(outcome.request.id, outcome.created, outcome.completed,
                                         outcome.status->message(), outcome.progress->events());
  return [content = outcome.content, trace = std::move(trace)](control::HistoryRecord& record) {
    std::shared_ptr<void> hold = content->Hold();
    RecordBlobs blobs(*content);
    wire::BuildHistoryRecord body;
    body.ParseFromString(record.body);
    RETURN_IF_ERROR(blobs.Write(trace, kTraceType, body.mutable_trace()));
    body.set_generation(body.generation() + 1);
    record.body = body.SerializeAsString();
    for (Digest& blob : blobs.Take()) record.blobs.push_back(std::move(blob));
    return OkStatus();
  };
}

}  // namespace

StatusOr<control::HistoryRecord> MakeHistoryRecord(const control::BuildOutcome& outcome) {
  wire::BuildHistoryRecord body;
  const control::BuildRequest& request = outcome.request;
  body.set_ref(request.id);
  body.set_frontend(request.frontend);
  body.mutable_frontendattrs()->insert(request.frontend_opts.begin(), request.frontend_opts.end());
  for (const control::OutputRequest& output : request.outputs) {
    wire::Exporter* exporter = body.add_exporters();
    exporter->set_type(output.type);
    exporter->mutable_attrs()->insert(output.attrs.begin(), output.attrs.end());
  }
  SetTimestamp(outcome.created, body.mutable_createdat());
  control::HistoryRecord record{.ref = request.id,
                                .created = outcome.created,
                                .completed = outcome.completed,
                                .pinned = false,
                                .body = {},
                                .blobs = {},
                                .later = {}};
  if (outcome.status != nullptr) {
    RecordBlobs blobs(*outcome.content);
    RETURN_IF_ERROR(AddEnd(outcome, &blobs, &body));
    record.blobs = blobs.Take();
    record.later = AddTraceLater(outcome);
  }
  record.body = body.SerializeAsString();
  return record;
}

}  // namespace kiln::api
