// Every backend through the suite: a registry in this process, and a client's folder.
#include <gtest/gtest.h>

#include <mutex>

#include "base/strings.h"
#include "cache/testing/fake_content_store.h"
#include "oci/registry.h"
#include "oci/testing/memory_registry.h"
#include "worker/remotecache/registry_cache.h"
#include "worker/remotecache/testing/backend_suite.h"

namespace kiln::worker::testing {
namespace {

// What stands behind "key": in a descriptor.
std::string DigestIn(const CacheAttrs& response) {
  auto manifest = response.find("cache.manifest");
  if (manifest == response.end()) return "";
  size_t at = manifest->second.find("sha256:");
  return at == std::string::npos ? "" : manifest->second.substr(at, 71);
}

class NoClients : public SessionTable {
 public:
  StatusOr<ClientSessionPtr> Get(std::string_view id, std::chrono::milliseconds) override {
    return NotFoundError(StrCat("no active session for ", id, ": context deadline exceeded"));
  }
};

class RegistryPlace : public CachePlace {
 public:
  CacheBackend& backend() override { return *backend_; }
  CacheAttrs export_attrs() const override { return {{"ref", server_.host() + "/some/cache:t"}}; }
  CacheAttrs import_attrs(const CacheAttrs&) const override { return export_attrs(); }
  bool names_itself() const override { return true; }
  Asked TakeAsked() override {
    Asked asked;
    for (const std::string& line : server_.TakeLog()) {
      const std::string what = line.substr(line.find(' ') + 1);
      if (line.starts_with("HEAD") || line.starts_with("GET")) asked.questions.push_back(what);
      if (line.starts_with("SENT")) asked.sent.push_back(what);
    }
    return asked;
  }
  bool Has(const Digest& blob) override { return server_.Has(blob); }
  void Lose(const Digest& blob) override { server_.Lose(blob); }
  void Damage(const Digest& blob) override { server_.Damage(blob); }
  void GoAway() override { server_.Refuse(401); }

 private:
  oci::testing::MemoryRegistry server_;
  NoClients clients_;
  std::unique_ptr<CacheBackend> backend_ =
      NewRegistryCacheBackend(std::make_shared<oci::Registry>(oci::RegistryHosts()), clients_);
};

// A client with one content store. Only that part of it answers.
class FolderClient : public ClientSession {
 public:
  const std::string& id() const override { return id_; }
  const std::string& name() const override { return id_; }
  const std::string& shared_key() const override { return id_; }
  bool Supports(std::string_view) const override { return true; }
  Status SyncDir(const SyncRequest&, std::stop_token) override { return Nothing(); }
  Status SendDir(const SendDirRequest&, std::stop_token) override { return Nothing(); }
  StatusOr<std::unique_ptr<ByteSink>> OpenOutput(const std::map<std::string, std::string>&,
                                                 std::string_view) override {
    return Nothing();
  }
  StatusOr<std::string> GetSecret(std::string_view) override { return Nothing(); }
  StatusOr<RegistryCredentials> Credentials(std::string_view) override { return Nothing(); }
  StatusOr<TokenResponse> FetchToken(const TokenRequest&) override { return Nothing(); }
  Status CheckSshAgent(std::string_view) override { return Nothing(); }
  Status ForwardSshAgent(std::string_view, UniqueFd, std::stop_token) override {
    return Nothing();
  }
  Status PullUpload(std::string_view, const std::function<Status(std::string_view)>&,
                    std::stop_token) override {
    return Nothing();
  }

  std::shared_ptr<cache::BlobSource> Content(std::string_view) override {
    struct Blobs : cache::BlobSource {
      explicit Blobs(FolderClient& owner) : client(owner) {}
      StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
        std::lock_guard lock(client.mutex);
        if (client.away) return UnavailableError("the client is gone");
        client.asked.questions.push_back(blob.digest.text());
        auto found = client.blobs.find(blob.digest);
        if (found == client.blobs.end()) return NotFoundError(blob.digest.text() + ": not found");
        // Names are this store's own, so that it may hold what does not belong there.
        return client.store.Open(Digest::Of(found->second));
      }
      FolderClient& client;
    };
    return std::make_shared<Blobs>(*this);
  }
  StatusOr<cache::BlobStat> StatContent(std::string_view, const Digest& digest) override {
    std::lock_guard lock(mutex);
    if (away) return UnavailableError("the client is gone");
    asked.questions.push_back(digest.text());
    auto found = blobs.find(digest);
    if (found == blobs.end()) return NotFoundError(digest.text() + ": not found");
    return cache::BlobStat{digest, static_cast<int64_t>(found->second.size())};
  }
  Status WriteContent(std::string_view, const oci::Descriptor& blob,
                      cache::BlobReader& bytes) override {
    std::string text(bytes.size(), '\0');
    ASSIGN_OR_RETURN(size_t count, bytes.ReadAt(0, std::as_writable_bytes(std::span(text))));
    if (count != text.size()) return DataLossError("unexpected EOF");
    std::lock_guard lock(mutex);
    if (away) return UnavailableError("the client is gone");
    asked.sent.push_back(blob.digest.text());
    Put(blob.digest, std::move(text));
    return OkStatus();
  }
  void Put(const Digest& digest, std::string text) {
    cache::WriteBlob(store, text, "").status().IgnoreError();
    blobs[digest] = std::move(text);
  }

  std::mutex mutex;
  std::map<Digest, std::string> blobs;  // guarded by mutex, as what follows
  cache::FakeContentStore store;
  CachePlace::Asked asked;
  bool away = false;

 private:
  static Status Nothing() { return UnimplementedError("not of this client"); }
  const std::string id_ = "session";
};

class OneClient : public SessionTable {
 public:
  explicit OneClient(ClientSessionPtr client) : client_(std::move(client)) {}
  StatusOr<ClientSessionPtr> Get(std::string_view, std::chrono::milliseconds) override {
    return client_;
  }

 private:
  ClientSessionPtr client_;
};

class FolderPlace : public CachePlace {
 public:
  CacheBackend& backend() override { return *backend_; }
  CacheAttrs export_attrs() const override { return {{"dest", "folder"}}; }
  CacheAttrs import_attrs(const CacheAttrs& response) const override {
    return {{"src", "folder"}, {"digest", DigestIn(response)}};
  }
  bool names_itself() const override { return false; }
  Asked TakeAsked() override {
    std::lock_guard lock(client_->mutex);
    return std::exchange(client_->asked, {});
  }
  bool Has(const Digest& blob) override {
    std::lock_guard lock(client_->mutex);
    return client_->blobs.contains(blob);
  }
  void Lose(const Digest& blob) override {
    std::lock_guard lock(client_->mutex);
    client_->blobs.erase(blob);
  }
  void Damage(const Digest& blob) override {
    std::lock_guard lock(client_->mutex);
    client_->Put(blob, std::string(client_->blobs[blob].size(), '?'));
  }
  void GoAway() override {
    std::lock_guard lock(client_->mutex);
    client_->away = true;
  }

 private:
  std::shared_ptr<FolderClient> client_ = std::make_shared<FolderClient>();
  OneClient clients_{client_};
  std::unique_ptr<CacheBackend> backend_ = NewLocalCacheBackend(clients_);
};

const CachePlaceKind kKinds[] = {
    {"Registry", [] { return std::make_unique<RegistryPlace>(); }},
    {"Folder", [] { return std::make_unique<FolderPlace>(); }},
};
INSTANTIATE_TEST_SUITE_P(Backends, CacheBackendSuite, ::testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace kiln::worker::testing
