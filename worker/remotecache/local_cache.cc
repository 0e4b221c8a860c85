// type=local: an OCI layout in a folder of the client's, read and written by its session.
#include "worker/remotecache/document_export.h"

namespace kiln::worker {
namespace {

constexpr std::chrono::seconds kSessionWait{5};

StatusOr<ClientSessionPtr> FirstSession(SessionTable& sessions,
                                        const std::vector<std::string>& ids) {
  if (ids.empty() || ids[0].empty()) {
    return UnknownError("local cache exporter/importer requires session");
  }
  return sessions.Get(ids[0], kSessionWait);
}

class BytesReader : public cache::BlobReader {
 public:
  explicit BytesReader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    if (offset >= bytes_.size()) return size_t{0};
    std::string_view rest = bytes_.substr(offset, buffer.size());
    std::transform(rest.begin(), rest.end(), buffer.begin(),
                   [](char c) { return static_cast<std::byte>(c); });
    return rest.size();
  }

 private:
  std::string_view bytes_;
};

class FolderTarget : public BlobTarget {
 public:
  FolderTarget(ClientSessionPtr session, std::string store)
      : session_(std::move(session)), store_(std::move(store)) {}

  Status PutLayer(const oci::Descriptor& blob, cache::BlobSource& source,
                  std::stop_token stop) override {
    if (stop.stop_requested()) return CancelledError("context canceled");
    // Asked first: the blob may have to be fetched from far away.
    if (session_->StatContent(store_, blob.digest).ok()) return OkStatus();
    ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, source.Open(blob));
    return session_->WriteContent(store_, blob, *reader);
  }
  Status PutBytes(cache::CachePart, const oci::Descriptor& blob, std::string_view bytes,
                  std::stop_token stop) override {
    if (stop.stop_requested()) return CancelledError("context canceled");
    BytesReader reader(bytes);
    return session_->WriteContent(store_, blob, reader);
  }

 private:
  ClientSessionPtr session_;
  std::string store_;
};

class LocalCacheBackend : public CacheBackend {
 public:
  explicit LocalCacheBackend(SessionTable& sessions) : sessions_(sessions) {}

  StatusOr<CacheOrigin> Import(const CacheAttrs& attrs) override {
    std::string digest_text = CacheAttr(attrs, "digest");
    if (digest_text.empty()) {
      return UnknownError("local cache importer requires explicit digest");
    }
    ASSIGN_OR_RETURN(Digest digest, Digest::Parse(digest_text));
    std::string folder = CacheAttr(attrs, "src");
    if (folder.empty()) return UnknownError("local cache importer requires src");
    CacheOrigin origin;
    origin.name = "local:" + folder;
    // The folder is one of a client's: the digest tells whether two clients mean the same.
    origin.id = StrCat("local:", folder, "@", digest_text);
    origin.open = [this, store = "local:" + folder,
                   digest](const std::vector<std::string>& ids) -> StatusOr<CacheOrigin::Opened> {
      ASSIGN_OR_RETURN(ClientSessionPtr session, FirstSession(sessions_, ids));
      ASSIGN_OR_RETURN(cache::BlobStat stat, session->StatContent(store, digest));
      CacheOrigin::Opened opened;
      opened.blobs = session->Content(store);
      opened.root.digest = digest;
      opened.root.size = stat.size;
      return opened;
    };
    return origin;
  }

  StatusOr<std::unique_ptr<CacheExporter>> Export(const CacheAttrs& attrs,
                                                  const std::string& session) override {
    std::string folder = CacheAttr(attrs, "dest");
    if (folder.empty()) return UnknownError("local cache exporter requires dest");
    ASSIGN_OR_RETURN(DocumentExportOptions options, ParseDocumentExport(attrs));
    ASSIGN_OR_RETURN(ClientSessionPtr client, FirstSession(sessions_, {session}));
    return NewDocumentExporter(
        "exporting cache to client directory", std::move(options),
        std::make_unique<FolderTarget>(std::move(client), "local:" + folder));
  }

 private:
  SessionTable& sessions_;
};

}  // namespace

std::unique_ptr<CacheBackend> NewLocalCacheBackend(SessionTable& sessions) {
  return std::make_unique<LocalCacheBackend>(sessions);
}

}  // namespace kiln::worker
