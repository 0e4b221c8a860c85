// Images in a client's OCI layout, read through its session.
#include "base/strings.h"
#include "oci/manifest.h"
#include "worker/source/image/image_source.h"

namespace kiln::worker {
namespace {

constexpr uint64_t kMaxManifest = 4 << 20;

class LayoutOrigin : public ImageOrigin, public std::enable_shared_from_this<LayoutOrigin> {
 public:
  LayoutOrigin(SessionTable& sessions, const ImageQuery& query)
      : sessions_(sessions), query_(query), store_(StrCat("oci:", query.store)) {}

  StatusOr<oci::Descriptor> Resolve(const std::string& ref) override {
    size_t at = ref.find('@');
    if (at == std::string::npos) {
      return InvalidArgumentError(StrCat("reference ", Quote(ref), " must have digest"));
    }
    oci::Descriptor root;
    ASSIGN_OR_RETURN(root.digest, Digest::Parse(std::string_view(ref).substr(at + 1)));
    Status status = WithSession([&](ClientSession& session) -> Status {
      ASSIGN_OR_RETURN(cache::BlobStat stat, session.StatContent(store_, root.digest));
      root.size = stat.size;
      return OkStatus();
    });
    if (!status.ok()) return Annotate(status, "unable to get info about digest");
    StatusOr<std::string> bytes = cache::ReadBlob(*Blobs(ref), root, kMaxManifest);
    if (!bytes.ok()) return Annotate(bytes.status(), "unable to get root manifest");
    root.media_type = oci::MediaTypeOf(*bytes);
    if (root.media_type.empty()) {
      return InvalidArgumentError(
          StrCat("reference ", Quote(ref), " contains neither an index nor a manifest"));
    }
    return root;
  }

  std::shared_ptr<cache::BlobSource> Blobs(const std::string&) override {
    struct Blobs : cache::BlobSource {
      std::shared_ptr<LayoutOrigin> origin;
      StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
        std::unique_ptr<cache::BlobReader> reader;
        RETURN_IF_ERROR(origin->WithSession([&](ClientSession& session) -> Status {
          ASSIGN_OR_RETURN(reader, session.Content(origin->store_)->Open(blob));
          return OkStatus();
        }));
        return reader;
      }
    };
    auto blobs = std::make_shared<Blobs>();
    blobs->origin = shared_from_this();
    return blobs;
  }

  Status ReadBlob(const std::string& ref, const Digest& digest,
                  const std::function<Status(std::string_view)>& sink) override {
    oci::Descriptor blob;
    blob.digest = digest;
    RETURN_IF_ERROR(WithSession([&](ClientSession& session) -> Status {
      ASSIGN_OR_RETURN(cache::BlobStat stat, session.StatContent(store_, digest));
      blob.size = stat.size;
      return OkStatus();
    }));
    ASSIGN_OR_RETURN(auto reader, Blobs(ref)->Open(blob));
    std::string buffer(64 << 10, '\0');
    for (uint64_t at = 0; at < reader->size();) {
      ASSIGN_OR_RETURN(size_t count, reader->ReadAt(at, std::as_writable_bytes(std::span(buffer))));
      if (count == 0) return DataLossError("unexpected EOF");
      RETURN_IF_ERROR(sink(std::string_view(buffer).substr(0, count)));
      at += count;
    }
    return OkStatus();
  }

 private:
  Status WithSession(const std::function<Status(ClientSession&)>& call) {
    if (query_.session.empty()) return WithAnySession(sessions_, query_.sessions, call);
    ASSIGN_OR_RETURN(ClientSessionPtr session,
                     sessions_.Get(query_.session, std::chrono::seconds(5)));
    return call(*session);
  }

  SessionTable& sessions_;
  ImageQuery query_;
  std::string store_;
};

}  // namespace

std::shared_ptr<ImageOrigin> NewLayoutOrigin(SessionTable& sessions, const ImageQuery& query) {
  return std::make_shared<LayoutOrigin>(sessions, query);
}

}  // namespace kiln::worker
