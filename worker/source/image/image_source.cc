// Vertices that are images. See image_source.h; manifests are image_pull.cc's.
#include "worker/source/image/image_source.h"

#include <map>
#include <mutex>

#include "base/strings.h"
#include "cache/content/blob_place.h"
#include "cache/content/blob_ranges.h"
#include "cache/pull_watcher.h"
#include "oci/reference.h"

namespace kiln::worker {
namespace {

struct ImageAttrs {
  ImageQuery query;
  Platform platform;
  std::optional<int> layer_limit;
  Digest checksum;
  cache::RecordType record_type = cache::RecordType::kRegular;
};

StatusOr<std::optional<int>> ParseLimit(const std::string& text) {
  int64_t limit = 0;
  if (!ParseInt64(text, &limit)) {
    return InvalidArgumentError(StrCat("invalid layer limit ", text));
  }
  if (limit <= 0 || limit > INT32_MAX) {
    return InvalidArgumentError(StrCat("invalid layer limit ", text));
  }
  return std::optional<int>(static_cast<int>(limit));
}

Status ReadAttr(const std::string& key, const std::string& value, ImageAttrs& attrs) {
  bool layout = attrs.query.scheme == "oci-layout";
  if (key == (layout ? "oci.layerlimit" : "image.layerlimit")) {
    ASSIGN_OR_RETURN(attrs.layer_limit, ParseLimit(value));
  } else if (key == "oci.session") {
    attrs.query.session = value;
  } else if (key == "oci.store") {
    attrs.query.store = value;
  } else if (key == "image.resolvemode") {
    if (!value.empty() && value != "default" && value != "pull" && value != "local") {
      return InvalidArgumentError(StrCat("invalid resolvemode: ", value));
    }
    attrs.query.resolve_mode = value;
  } else if (key == "image.recordtype") {
    if (value == "internal") attrs.record_type = cache::RecordType::kInternal;
    if (value == "frontend") attrs.record_type = cache::RecordType::kFrontend;
  } else if (key == "image.checksum") {
    StatusOr<Digest> digest = Digest::Parse(value);
    if (!digest.ok()) return Annotate(digest.status(), StrCat("invalid checksum ", value));
    attrs.checksum = *digest;
  }
  return OkStatus();
}

// Tells of layers under the image's own step, whoever it is that needs them.
class ShownBlobs : public cache::WatchedBlobs,
                   public cache::BlobPlace,
                   public cache::RangedBlobs,
                   private cache::PullWatcher {
 public:
  ShownBlobs(std::shared_ptr<cache::BlobSource> blobs, std::shared_ptr<solver::LateWork> work)
      : blobs_(std::move(blobs)), work_(std::move(work)) {}
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
    return blobs_->Open(blob);
  }
  cache::PullWatcher& watcher() override { return *this; }
  std::string RepositoryOf(const oci::Descriptor& blob) override {
    return cache::RepositoryOf(*blobs_, blob);
  }
  std::shared_ptr<cache::BlobRanges> Ranges() override { return cache::RangesOf(*blobs_); }

 private:
  void Begin() override { work_->Begin(); }
  void End(const Status& status) override { work_->End(status); }
  void Fetched(const Digest& blob, int64_t current, int64_t total, bool done) override {
    Tell(std::string(blob.text()), "", done, current, total);
  }
  void Extracting(const Digest& blob, bool done) override {
    Tell(StrCat("extracting ", blob.text()), "extracting", done, 0, 0);
  }
  void Tell(std::string id, std::string name, bool done, int64_t current, int64_t total) {
    solver::StatusEvent event;
    event.timestamp = Now();
    {
      std::lock_guard lock(mutex_);
      event.started = started_.try_emplace(id, event.timestamp).first->second;
      if (done) started_.erase(id);
    }
    event.id = std::move(id);
    event.name = std::move(name);
    event.current = current;
    event.total = total;
    if (done) event.completed = event.timestamp;
    work_->progress().Status(std::move(event));
  }

  const std::shared_ptr<cache::BlobSource> blobs_;
  const std::shared_ptr<solver::LateWork> work_;
  std::mutex mutex_;
  std::map<std::string, Time> started_;
};

class ImageInstance : public SourceInstance {
 public:
  ImageInstance(ImageSourceOptions options, ImageAttrs attrs)
      : options_(options), resolver_(options), attrs_(std::move(attrs)) {}

  StatusOr<Key> CacheKey(int index, solver::JobContext& context) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Load(context));
    std::string key = index > 0 && !layers_key_.empty() ? layers_key_ : manifest_key_;
    return Key{std::move(key), index > 0, image_->root.digest.text()};
  }

  StatusOr<cache::Ref> Snapshot(solver::JobContext& context) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Load(context));
    cache::Ref current;
    for (const cache::Layer& layer : image_->layers) {
      cache::RecordOptions record;
      record.description = layer.description;
      record.type = attrs_.record_type;
      record.created = layer.created;
      ASSIGN_OR_RETURN(current,
                       options_.refs->GetByBlob(layer, current, record, image_->source));
    }
    return current;
  }

 private:
  // Once; a failure is tried again by the next call.
  Status Load(solver::JobContext& context) {
    if (image_) return OkStatus();
    solver::StatusLine line(context.progress(), StrCat("resolve ", attrs_.query.ref));
    ImageQuery query = attrs_.query;
    query.sessions = context.Sessions();
    ASSIGN_OR_RETURN(PulledImage image, resolver_.Pull(query, attrs_.platform));
    if (!attrs_.checksum.empty() && image.root.digest != attrs_.checksum) {
      return InvalidArgumentError(StrCat("image digest ", image.root.digest.text(), " for ",
                                         attrs_.query.ref, " does not match expected checksum ",
                                         attrs_.checksum.text()));
    }
    if (attrs_.layer_limit) {
      auto limit = static_cast<size_t>(*attrs_.layer_limit);
      if (limit > image.layers.size()) {
        return InvalidArgumentError(StrCat("layer limit ", limit,
                                           " is greater than the number of layers in the image ",
                                           image.layers.size()));
      }
      image.layers.resize(limit);
    }
    std::shared_ptr<solver::LateWork> work = context.late_work();
    if (work != nullptr && image.source != nullptr) {
      image.source = std::make_shared<ShownBlobs>(std::move(image.source), std::move(work));
    }
    manifest_key_ = ManifestKey(image.root.digest, attrs_.platform, attrs_.layer_limit);
    ASSIGN_OR_RETURN(layers_key_, LayersKey(image.config, attrs_.layer_limit));
    image_ = std::move(image);
    return OkStatus();
  }

  ImageSourceOptions options_;
  ImageResolver resolver_;
  ImageAttrs attrs_;
  std::mutex mutex_;
  std::optional<PulledImage> image_;
  std::string manifest_key_, layers_key_;
};

class ImageSource : public Source {
 public:
  explicit ImageSource(ImageSourceOptions options) : options_(std::move(options)) {}
  std::vector<std::string> schemes() const override { return {"docker-image", "oci-layout"}; }

  StatusOr<std::unique_ptr<SourceInstance>> Resolve(
      std::string_view scheme, std::string_view reference,
      const std::map<std::string, std::string>& given,
      const std::optional<Platform>& platform) override {
    ImageAttrs attrs;
    attrs.query.scheme = scheme;
    attrs.query.ref = reference;
    if (!Contains(reference, "@") && scheme == "docker-image") {
      ASSIGN_OR_RETURN(oci::Reference parsed, oci::ParseReference(reference));
      attrs.query.ref = oci::WithDefaultTag(parsed).Text();
    }
    attrs.platform = platform.value_or(DefaultPlatform());
    for (const auto& [key, value] : given) RETURN_IF_ERROR(ReadAttr(key, value, attrs));
    return std::make_unique<ImageInstance>(options_, std::move(attrs));
  }

 private:
  ImageSourceOptions options_;
};

}  // namespace

StatusOr<std::shared_ptr<ImageOrigin>> ImageResolver::OriginFor(const ImageQuery& query) {
  if (query.scheme == "oci-layout") return NewLayoutOrigin(*options_.sessions, query);
  if (!options_.registry) return UnimplementedError("this server cannot pull from registries");
  return options_.registry(query);
}

StatusOr<PulledImage> ImageResolver::Pull(const ImageQuery& query, const Platform& platform) {
  auto hold = options_.refs->content().Hold();
  ASSIGN_OR_RETURN(std::shared_ptr<ImageOrigin> origin, OriginFor(query));
  return PullImage(*origin, query.ref, platform, options_.refs->content());
}

StatusOr<ImageResolver::Answer> ImageResolver::ResolveConfig(
    const ImageQuery& query, const std::optional<Platform>& platform) {
  ASSIGN_OR_RETURN(PulledImage image, Pull(query, platform.value_or(DefaultPlatform())));
  return Answer{image.root.digest, std::move(image.config)};
}

std::unique_ptr<Source> NewImageSource(ImageSourceOptions options) {
  return std::make_unique<ImageSource>(std::move(options));
}

}  // namespace kiln::worker
