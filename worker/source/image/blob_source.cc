// One blob as a file. See image_source.h; where it comes from is the origins' business.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "worker/source/http/http_source.h"
#include "worker/source/image/image_source.h"

namespace kiln::worker {
namespace {

struct BlobAttrs {
  ImageQuery query;
  Digest digest;
  std::string filename;
  int64_t perm = 0, uid = 0, gid = 0;
  cache::RecordType record_type = cache::RecordType::kRegular;
};

Status ReadNumber(const std::string& text, int64_t* value) {
  ASSIGN_OR_RETURN(*value, ParseSourceInt(text));
  return OkStatus();
}

Status ReadRecordType(const std::string& text, cache::RecordType* type) {
  if (text.empty() || text == "regular") {
    *type = cache::RecordType::kRegular;
  } else if (text == "internal") {
    *type = cache::RecordType::kInternal;
  } else if (text == "frontend") {
    *type = cache::RecordType::kFrontend;
  } else {
    return InvalidArgumentError(StrCat("invalid record type ", text));
  }
  return OkStatus();
}

Status ReadAttr(const std::string& key, const std::string& value, BlobAttrs& attrs) {
  if (key == "http.filename") attrs.filename = HttpFileName("", value.empty() ? "." : value, "");
  if (key == "http.perm") return ReadNumber(value, &attrs.perm);
  if (key == "http.uid") return ReadNumber(value, &attrs.uid);
  if (key == "http.gid") return ReadNumber(value, &attrs.gid);
  if (key == "image.recordtype") return ReadRecordType(value, &attrs.record_type);
  if (attrs.query.scheme != "oci-layout") return OkStatus();
  if (key == "oci.session") attrs.query.session = value;
  if (key == "oci.store") attrs.query.store = value;
  return OkStatus();
}

class BlobInstance : public SourceInstance {
 public:
  BlobInstance(ImageSourceOptions options, const std::string& temp_dir, BlobAttrs attrs)
      : options_(options), resolver_(options), temp_dir_(temp_dir), attrs_(std::move(attrs)) {}

  StatusOr<Key> CacheKey(int, solver::JobContext&) override {
    GoJsonObject out;
    out.String("Digest", attrs_.digest.text());
    out.String("Filename", attrs_.filename);
    out.Int("Perm", attrs_.perm);
    out.Int("UID", attrs_.uid);
    out.Int("GID", attrs_.gid);
    return Key{Digest::Of(out.Finish()).text(), true, attrs_.digest.text()};
  }

  StatusOr<cache::Ref> Snapshot(solver::JobContext& context) override {
    ImageQuery query = attrs_.query;
    query.sessions = context.Sessions();
    ASSIGN_OR_RETURN(std::shared_ptr<ImageOrigin> origin, resolver_.OriginFor(query));
    ASSIGN_OR_RETURN(cache::MutableRef target,
                     options_.refs->NewMutable({}, {.description = StrCat("blob ", query.ref),
                                                    .type = attrs_.record_type}));
    {
      ASSIGN_OR_RETURN(cache::MountLease lease, target.Mount(false, context.stop()));
      ASSIGN_OR_RETURN(cache::LocalMount mount,
                       cache::LocalMount::Open(std::move(lease), temp_dir_));
      RETURN_IF_ERROR(WriteFile(*origin, mount.path(), context.stop()));
    }
    return target.Commit();
  }

 private:
  Status WriteFile(ImageOrigin& origin, const std::string& dir, const std::stop_token& stop) {
    std::string name = attrs_.filename.empty() ? std::string(attrs_.digest.hex()) : attrs_.filename;
    auto mode = static_cast<mode_t>(attrs_.perm == 0 ? 0600 : attrs_.perm & 07777);
    ASSIGN_OR_RETURN(UniqueFd folder, OpenFile(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    UniqueFd file(::openat(folder.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                           mode));
    if (!file.valid()) return ErrnoStatus(errno, StrCat("open ", name));
    Sha256 hash;
    RETURN_IF_ERROR(origin.ReadBlob(
        attrs_.query.ref, attrs_.digest, [&](std::string_view bytes) -> Status {
          if (stop.stop_requested()) return CancelledError("context canceled");
          hash.Update(bytes);
          return WriteAll(file.get(), bytes);
        }));
    Digest found = hash.Finish();
    if (attrs_.digest.algorithm() == "sha256" && found != attrs_.digest) {
      return DataLossError(StrCat("unexpected digest ", found.text(), " of blob, expected ",
                                  attrs_.digest.text()));
    }
    if ((attrs_.uid != 0 || attrs_.gid != 0) &&
        ::fchown(file.get(), static_cast<uid_t>(attrs_.uid), static_cast<gid_t>(attrs_.gid)) != 0) {
      return ErrnoStatus(errno, StrCat("chown ", name));
    }
    const timespec times[2] = {};
    return ::futimens(file.get(), times) == 0 ? OkStatus()
                                              : ErrnoStatus(errno, StrCat("chtimes ", name));
  }

  ImageSourceOptions options_;
  ImageResolver resolver_;
  const std::string& temp_dir_;
  BlobAttrs attrs_;
};

class BlobSource : public Source {
 public:
  BlobSource(ImageSourceOptions options, std::string temp_dir)
      : options_(std::move(options)), temp_dir_(std::move(temp_dir)) {}
  std::vector<std::string> schemes() const override {
    return {"docker-image+blob", "oci-layout+blob"};
  }

  StatusOr<std::unique_ptr<SourceInstance>> Resolve(
      std::string_view scheme, std::string_view reference,
      const std::map<std::string, std::string>& given, const std::optional<Platform>&) override {
    BlobAttrs attrs;
    attrs.query.scheme = TrimSuffix(scheme, "+blob");
    attrs.query.ref = reference;
    size_t at = reference.rfind('@');
    if (at == std::string_view::npos) {
      return InvalidArgumentError("invalid reference digest: invalid checksum digest format");
    }
    StatusOr<Digest> digest = Digest::Parse(reference.substr(at + 1));
    if (!digest.ok()) return Annotate(digest.status(), "invalid reference digest");
    attrs.digest = *digest;
    for (const auto& [key, value] : given) RETURN_IF_ERROR(ReadAttr(key, value, attrs));
    if (attrs.query.scheme == "oci-layout" && attrs.query.store.empty()) {
      return InvalidArgumentError("oci-layout blob source requires store id");
    }
    return std::make_unique<BlobInstance>(options_, temp_dir_, std::move(attrs));
  }

 private:
  ImageSourceOptions options_;
  std::string temp_dir_;
};

}  // namespace

std::unique_ptr<Source> NewBlobSource(ImageSourceOptions options, std::string temp_dir) {
  return std::make_unique<BlobSource>(std::move(options), std::move(temp_dir));
}

}  // namespace kiln::worker
