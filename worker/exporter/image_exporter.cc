// type=image: the image stays in the content store, and is pushed if asked for.
#include "base/strings.h"
#include "oci/manifest.h"
#include "worker/exporter/exporters.h"
#include "worker/exporter/image_commit.h"

namespace kiln::worker {
namespace {

struct ImageFlags {
  bool push = false, push_by_digest = false, insecure = false, unpack = false, store = true;
  bool store_allow_incomplete = false, dangling_empty_only = false, name_canonical = false;
  std::string dangling_prefix;
};

Status TakeFlags(Attrs& attrs, ImageFlags& flags) {
  const std::pair<const char*, bool*> known[] = {
      {"push", &flags.push},
      {"push-by-digest", &flags.push_by_digest},
      {"registry.insecure", &flags.insecure},
      {"unpack", &flags.unpack},
      {"store", &flags.store},
      {"unsafe-internal-store-allow-incomplete", &flags.store_allow_incomplete},
      {"danging-name-empty-only", &flags.dangling_empty_only},
      {"name-canonical", &flags.name_canonical}};
  for (const auto& [key, flag] : known) {
    auto found = attrs.find(key);
    if (found == attrs.end()) continue;
    RETURN_IF_ERROR(ParseFlag(key, found->second, flag));
    attrs.erase(found);
  }
  auto prefix = attrs.find("dangling-name-prefix");
  if (prefix != attrs.end()) {
    flags.dangling_prefix = prefix->second;
    attrs.erase(prefix);
  }
  return OkStatus();
}

class ImageExporter : public Exporter {
 public:
  ImageExporter(ExporterTableOptions table, ImageOptions options, ImageFlags flags, Attrs metadata)
      : table_(std::move(table)),
        options_(std::move(options)),
        flags_(std::move(flags)),
        metadata_(std::move(metadata)) {}

  std::string name() const override { return "exporting to image"; }
  std::string type() const override { return "image"; }
  cache::CompressionOptions compression() const override { return options_.compression; }
  StatusOr<Attrs> Export(const ExportSource& source, const ExportContext& context) override;

 private:
  std::string NamesFor(const Attrs& metadata, const CommittedImage& image) const;
  Status Store(const CommittedImage& image, const std::string& names,
               const ExportContext& context) const;
  Status Push(const CommittedImage& image, const std::string& names,
              const ExportContext& context) const;

  ExporterTableOptions table_;
  ImageOptions options_;
  ImageFlags flags_;
  Attrs metadata_;
};

std::string ImageExporter::NamesFor(const Attrs& metadata, const CommittedImage& image) const {
  std::string names = options_.name;
  auto given = metadata.find("image.name");
  if (names == "*" && given != metadata.end()) names = given->second;
  if (!flags_.dangling_prefix.empty() && (!flags_.dangling_empty_only || names.empty())) {
    std::string dangling =
        StrCat(flags_.dangling_prefix, "@", image.descriptor.digest.text());
    names = names.empty() ? dangling : StrCat(names, ",", dangling);
  }
  return names;
}

Status ImageExporter::Store(const CommittedImage& image, const std::string& names,
                            const ExportContext& context) const {
  if (!table_.store || !flags_.store || names.empty()) return OkStatus();
  for (std::string_view name : StrSplit(names, ',')) {
    ProgressLine line(context, StrCat("naming to ", name));
    StoreTarget target{std::string(name), flags_.unpack, flags_.store_allow_incomplete};
    RETURN_IF_ERROR(table_.store(image, target));
    if (!flags_.name_canonical) continue;
    target.name += StrCat("@", image.descriptor.digest.text());
    RETURN_IF_ERROR(table_.store(image, target));
  }
  return OkStatus();
}

StatusOr<Attrs> ImageExporter::Export(const ExportSource& source, const ExportContext& context) {
  ImageOptions options = options_;
  int version = context.compatibility_version == 0 ? 30 : context.compatibility_version;
  // Attributes of nobody are the result's metadata, where they may be annotations as well.
  Attrs metadata = metadata_;
  metadata.insert(source.metadata.begin(), source.metadata.end());
  RETURN_IF_ERROR(TakeAnnotations(metadata, options.annotations));
  options.metadata = metadata;
  RETURN_IF_ERROR(
      CompleteImageOptions(options, version >= 30 || !source.attestations.empty(), version));
  ASSIGN_OR_RETURN(CommittedImage image,
                   CommitImage(*table_.refs, source, options, context, type()));
  Attrs response;
  std::string names = NamesFor(metadata, image);
  if (!names.empty()) response["image.name"] = names;
  response["containerimage.digest"] = image.descriptor.digest.text();
  if (!image.config_digest.empty()) {
    response["containerimage.config.digest"] = image.config_digest.text();
  }
  response["containerimage.descriptor"] = Base64Encode(oci::DescriptorJson(image.descriptor));
  // What a push has to fetch is here afterwards, and then belongs to the stored image.
  if (flags_.store_allow_incomplete && table_.store) image.blobs->KeepWhatIsRead();
  if (!flags_.store_allow_incomplete) RETURN_IF_ERROR(Store(image, names, context));
  RETURN_IF_ERROR(Push(image, names, context));
  if (flags_.store_allow_incomplete) RETURN_IF_ERROR(Store(image, names, context));
  return response;
}

Status ImageExporter::Push(const CommittedImage& image, const std::string& names,
                           const ExportContext& context) const {
  if (!flags_.push || names.empty()) return OkStatus();
  for (std::string_view target : StrSplit(names, ',')) {
    if (!table_.push) return UnimplementedError("this server cannot push images");
    PushTarget push{std::string(target), flags_.insecure, flags_.push_by_digest};
    RETURN_IF_ERROR(
        Annotate(table_.push(image, push, context), StrCat("failed to push ", target)));
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<Exporter>> NewImageExporter(const ExporterTableOptions& table,
                                                     Attrs attrs) {
  ImageOptions defaults;
  defaults.force_inline_attestations = true;
  ASSIGN_OR_RETURN(ImageOptions options, TakeImageOptions(attrs, std::move(defaults)));
  ImageFlags flags;
  RETURN_IF_ERROR(TakeFlags(attrs, flags));
  return std::make_unique<ImageExporter>(table, std::move(options), std::move(flags),
                                         std::move(attrs));
}

}  // namespace kiln::worker
