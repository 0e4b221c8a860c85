// type=oci and type=docker: an image as one tar to the client, or blob by blob into the
// client's content store (tar=false).
#include "base/strings.h"
#include "base/time.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "worker/exporter/exporters.h"
#include "worker/exporter/image_archive.h"
#include "worker/exporter/image_commit.h"

namespace kiln::worker {
namespace {

StatusOr<std::vector<std::string>> NormalizedNames(const std::string& text) {
  std::vector<std::string> names;
  if (text.empty()) return names;
  for (std::string_view name : StrSplit(text, ',')) {
    StatusOr<oci::Reference> reference = oci::ParseReference(name);
    if (!reference.ok()) return Annotate(reference.status(), StrCat("failed to parse ", name));
    names.push_back(oci::WithDefaultTag(*reference).Text());
  }
  return names;
}

class ArchiveExporter : public Exporter {
 public:
  ArchiveExporter(ExporterTableOptions table, std::string variant, ImageOptions options, bool tar,
                  Attrs metadata)
      : table_(std::move(table)),
        variant_(std::move(variant)),
        options_(std::move(options)),
        tar_(tar),
        metadata_(std::move(metadata)) {}

  std::string name() const override {
    return StrCat("exporting to ", variant_, " image format");
  }
  std::string type() const override { return variant_; }
  cache::CompressionOptions compression() const override { return options_.compression; }
  StatusOr<Attrs> Export(const ExportSource& source, const ExportContext& context) override;

 private:
  Status SendTar(const CommittedImage& image, const std::vector<std::string>& names,
                 const Attrs& response, ClientSession& session, const ExportContext& context);
  Status SendBlobs(const CommittedImage& image, ClientSession& session);

  ExporterTableOptions table_;
  std::string variant_;
  ImageOptions options_;
  bool tar_;
  Attrs metadata_;
};

StatusOr<Attrs> ArchiveExporter::Export(const ExportSource& source,
                                        const ExportContext& context) {
  bool docker = variant_ == "docker";
  if (docker && !source.refs.empty()) {
    return UnknownError("docker exporter does not currently support exporting manifest lists");
  }
  ImageOptions options = options_;
  int version = context.compatibility_version == 0 ? 30 : context.compatibility_version;
  // Attributes of nobody are the result's metadata, where they may be annotations as well.
  Attrs metadata = metadata_;
  metadata.insert(source.metadata.begin(), source.metadata.end());
  RETURN_IF_ERROR(TakeAnnotations(metadata, options.annotations));
  options.metadata = metadata;
  bool oci_types = !docker || version >= 30 || !source.attestations.empty();
  RETURN_IF_ERROR(CompleteImageOptions(options, oci_types, version));
  ASSIGN_OR_RETURN(CommittedImage image,
                   CommitImage(*table_.refs, source, options, context, type()));
  Attrs& annotations = image.descriptor.annotations;
  if (!annotations.contains("org.opencontainers.image.created")) {
    Time time = Now();
    std::optional<int64_t> epoch;
    if (options.epoch) {
      epoch = *options.epoch;
    } else {
      ASSIGN_OR_RETURN(epoch, SourceEpoch(metadata, ""));
    }
    if (epoch) time = Time::FromSeconds(*epoch);
    annotations["org.opencontainers.image.created"] = FormatRfc3339(time);
  }
  Attrs response;
  response["containerimage.digest"] = image.descriptor.digest.text();
  if (!image.config_digest.empty()) {
    response["containerimage.config.digest"] = image.config_digest.text();
  }
  response["containerimage.descriptor"] = Base64Encode(oci::DescriptorJson(image.descriptor));
  std::string given = options_.name;
  auto named = metadata.find("image.name");
  if (given == "*" && named != metadata.end()) given = named->second;
  ASSIGN_OR_RETURN(std::vector<std::string> names, NormalizedNames(given));
  if (!names.empty()) response["image.name"] = StrJoin(names, ",");
  ASSIGN_OR_RETURN(ClientSessionPtr session, ExportSession(table_, context));
  RETURN_IF_ERROR(tar_ ? SendTar(image, names, response, *session, context)
                       : SendBlobs(image, *session));
  return response;
}

Status ArchiveExporter::SendTar(const CommittedImage& image,
                                const std::vector<std::string>& names, const Attrs& response,
                                ClientSession& session, const ExportContext& context) {
  ASSIGN_OR_RETURN(std::unique_ptr<ByteSink> sink,
                   session.OpenOutput(response, context.exporter_id));
  ProgressLine line(context, "sending tarball");
  ImageArchive archive{image.descriptor, names, variant_ == "docker"};
  Status status = WriteImageArchive(*image.blobs, archive, [&](std::string_view bytes) {
    if (context.stop.stop_requested()) return CancelledError("context canceled");
    return sink->Write(bytes);
  });
  Status closed = sink->Close();
  if (status.ok()) status = std::move(closed);
  // The client has the image already.
  return status.code() == StatusCode::kAlreadyExists ? OkStatus() : status;
}

Status ArchiveExporter::SendBlobs(const CommittedImage& image, ClientSession& session) {
  ASSIGN_OR_RETURN(std::vector<oci::Descriptor> blobs, BlobsOf(*image.blobs, image.descriptor));
  for (const oci::Descriptor& blob : blobs) {
    StatusOr<cache::BlobStat> there = session.StatContent("export", blob.digest);
    if (there.ok()) continue;
    ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, image.blobs->Open(blob));
    Status status = session.WriteContent("export", blob, *reader);
    if (!status.ok() && status.code() != StatusCode::kAlreadyExists) return status;
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<Exporter>> NewArchiveExporter(const ExporterTableOptions& table,
                                                       std::string variant, Attrs attrs) {
  ASSIGN_OR_RETURN(ImageOptions options, TakeImageOptions(attrs));
  bool tar = true;
  auto found = attrs.find("tar");
  if (found != attrs.end()) {
    RETURN_IF_ERROR(ParseFlag("tar", found->second, &tar));
    attrs.erase(found);
  }
  return std::make_unique<ArchiveExporter>(table, std::move(variant), std::move(options), tar,
                                           std::move(attrs));
}

}  // namespace kiln::worker
