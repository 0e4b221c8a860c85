// Images in registries. See registry_origin.h.
#include "worker/source/image/registry_origin.h"

#include <cstring>
#include <mutex>

#include "base/strings.h"
#include "base/time.h"
#include "cache/content/blob_place.h"
#include "cache/content/blob_ranges.h"

namespace kiln::worker {
namespace {

constexpr int kReadTries = 3;
constexpr int64_t kRangeNanos = 10'000'000'000;

class SessionAuth : public oci::RegistryAuth {
 public:
  SessionAuth(SessionTable& sessions, std::vector<std::string> ids)
      : sessions_(sessions), ids_(std::move(ids)) {}

  StatusOr<oci::RegistryLogin> Login(const std::string& host) override {
    oci::RegistryLogin login;
    // The name under which clients keep the credentials of Docker Hub.
    std::string key = host == "docker.io" ? "https://index.docker.io/v1/" : host;
    Status status = WithAnySession(sessions_, ids_, [&](ClientSession& session) -> Status {
      ASSIGN_OR_RETURN(RegistryCredentials found, session.Credentials(key));
      login = {found.username, found.secret};
      return OkStatus();
    });
    // Nobody to ask: anonymous.
    return status.ok() || IsAnonymous(status) ? StatusOr<oci::RegistryLogin>(login) : status;
  }

  StatusOr<oci::RegistryToken> FetchToken(const oci::TokenQuery& query) override {
    oci::RegistryToken token;
    TokenRequest request{"buildkit-client",
                         query.host == "docker.io" ? "https://index.docker.io/v1/" : query.host,
                         query.realm, query.service, query.scopes};
    Status status = WithAnySession(sessions_, ids_, [&](ClientSession& session) -> Status {
      ASSIGN_OR_RETURN(TokenResponse found, session.FetchToken(request));
      token = {found.token, found.expires_in};
      return OkStatus();
    });
    if (status.ok()) return token;
    return IsAnonymous(status) ? UnimplementedError("no session has tokens") : status;
  }

  std::string identity() const override { return ids_.empty() ? "" : ids_.front(); }

 private:
  static bool IsAnonymous(const Status& status) {
    return status.code() == StatusCode::kUnimplemented ||
           status.code() == StatusCode::kUnavailable || IsNotFound(status);
  }
  SessionTable& sessions_;
  std::vector<std::string> ids_;
};

// A blob read over the network: in order it is one transfer, which is taken up again
// where it broke off; a jump starts another.
class RegistryReader : public cache::BlobReader {
 public:
  RegistryReader(std::shared_ptr<oci::Registry> registry, oci::RegistryCall call,
                 oci::Descriptor blob)
      : registry_(std::move(registry)), call_(std::move(call)), blob_(std::move(blob)) {}

  // Asks for the first byte: a registry that has no such blob says so when it is opened,
  // and the caller can look elsewhere.
  Status Begin() {
    std::lock_guard lock(mutex_);
    Status status = Start(0);
    return IsNotFound(status) ? status : OkStatus();  // reading tries other failures again
  }

  uint64_t size() const override { return static_cast<uint64_t>(blob_.size); }

  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    std::lock_guard lock(mutex_);
    if (offset >= size() || buffer.empty()) return size_t{0};
    // More than the descriptor says is never read, however long the body is.
    auto room = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size() - offset));
    std::span<char> out(reinterpret_cast<char*>(buffer.data()), room);
    for (int attempt = 1;; ++attempt) {
      Status status = OkStatus();
      if (body_ == nullptr || at_ != offset) status = Start(offset);
      if (status.ok()) {
        StatusOr<size_t> count = body_->Read(out);
        if (count.ok() && *count > 0) {
          at_ += *count;
          return *count;
        }
        status = count.ok() ? DataLossError("unexpected EOF") : count.status();
        body_.reset();
      }
      bool again = status.code() == StatusCode::kDataLoss ||
                   status.code() == StatusCode::kUnavailable;
      if (!again || attempt == kReadTries) return status;
    }
  }

 private:
  Status Start(uint64_t offset) const {
    body_.reset();
    ASSIGN_OR_RETURN(body_, registry_->Open(call_, blob_, static_cast<int64_t>(offset)));
    at_ = offset;
    return OkStatus();
  }

  std::shared_ptr<oci::Registry> registry_;
  oci::RegistryCall call_;
  oci::Descriptor blob_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<oci::HttpResponse> body_;  // guarded by mutex_
  mutable uint64_t at_ = 0;                          // guarded by mutex_
};

// Files of a layer are read when steps come to them, which may be builds later: any client
// that is there may have the credentials.
class LateAuth : public oci::RegistryAuth {
 public:
  explicit LateAuth(SessionTable& sessions) : sessions_(sessions) {}
  StatusOr<oci::RegistryLogin> Login(const std::string& host) override {
    for (const std::string& id : sessions_.Ids()) {
      StatusOr<oci::RegistryLogin> login = SessionAuth(sessions_, {id}).Login(host);
      if (login.ok() && !login->secret.empty()) return login;
    }
    return oci::RegistryLogin{};
  }
  StatusOr<oci::RegistryToken> FetchToken(const oci::TokenQuery& query) override {
    for (const std::string& id : sessions_.Ids()) {
      StatusOr<oci::RegistryToken> token = SessionAuth(sessions_, {id}).FetchToken(query);
      if (token.ok()) return token;
    }
    return UnimplementedError("no session has tokens");
  }
  std::string identity() const override { return "late"; }

 private:
  SessionTable& sessions_;
};

class RegistryRanges : public cache::BlobRanges {
 public:
  RegistryRanges(std::shared_ptr<oci::Registry> registry, oci::RegistryCall call)
      : registry_(std::move(registry)), call_(std::move(call)) {}
  StatusOr<std::string> ReadRange(const oci::Descriptor& blob, uint64_t offset, uint64_t length,
                                  std::stop_token stop) override {
    oci::RegistryCall call = call_;
    call.stop = std::move(stop);
    const Time begun = Now();
    for (int attempt = 1;; ++attempt) {
      StatusOr<std::string> bytes = registry_->ReadRange(call, blob, offset, length);
      const StatusCode code = bytes.status().code();
      const bool again = code == StatusCode::kDataLoss || code == StatusCode::kUnavailable;
      // Somebody waits in read(2): silence is borne once.
      const bool late = Now().nanos - begun.nanos > kRangeNanos;
      if (!again || attempt == kReadTries || late) {
        return code == StatusCode::kDataLoss ? UnavailableError(bytes.status().message()) : bytes;
      }
    }
  }

 private:
  const std::shared_ptr<oci::Registry> registry_;
  const oci::RegistryCall call_;
};

class RegistryBlobs : public cache::BlobSource, public cache::BlobPlace, public cache::RangedBlobs {
 public:
  // `late` is who asks for ranges.
  RegistryBlobs(std::shared_ptr<oci::Registry> registry, oci::RegistryCall call,
                std::shared_ptr<oci::RegistryAuth> late)
      : registry_(std::move(registry)), call_(std::move(call)), late_(std::move(late)) {}
  std::shared_ptr<cache::BlobRanges> Ranges() override {
    oci::RegistryCall call = call_;
    call.auth = late_;
    call.stop = {};
    return std::make_shared<RegistryRanges>(registry_, std::move(call));
  }
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
    auto reader = std::make_unique<RegistryReader>(registry_, call_, blob);
    RETURN_IF_ERROR(reader->Begin());
    return std::unique_ptr<cache::BlobReader>(std::move(reader));
  }
  std::string RepositoryOf(const oci::Descriptor&) override { return call_.ref.Name(); }

 private:
  std::shared_ptr<oci::Registry> registry_;
  oci::RegistryCall call_;
  std::shared_ptr<oci::RegistryAuth> late_;
};

class RegistryOrigin : public ImageOrigin {
 public:
  RegistryOrigin(std::shared_ptr<oci::Registry> registry, std::shared_ptr<oci::RegistryAuth> auth,
                 std::shared_ptr<oci::RegistryAuth> late)
      : registry_(std::move(registry)), auth_(std::move(auth)), late_(std::move(late)) {}

  StatusOr<oci::Descriptor> Resolve(const std::string& ref) override {
    ASSIGN_OR_RETURN(oci::RegistryCall call, CallFor(ref));
    return registry_->Resolve(call);
  }
  std::shared_ptr<cache::BlobSource> Blobs(const std::string& ref) override {
    StatusOr<oci::RegistryCall> call = CallFor(ref);
    return std::make_shared<RegistryBlobs>(registry_, call.value_or(oci::RegistryCall{}), late_);
  }

  Status ReadBlob(const std::string& ref, const Digest& digest,
                  const std::function<Status(std::string_view)>& sink) override {
    ASSIGN_OR_RETURN(oci::RegistryCall call, CallFor(ref));
    oci::Descriptor blob;
    blob.digest = digest;
    ASSIGN_OR_RETURN(auto body, registry_->Open(call, blob));
    std::string buffer(64 << 10, '\0');
    for (;;) {
      ASSIGN_OR_RETURN(size_t count, body->Read(buffer));
      if (count == 0) return OkStatus();
      RETURN_IF_ERROR(sink(std::string_view(buffer).substr(0, count)));
    }
  }

  StatusOr<std::vector<oci::Descriptor>> Referrers(const std::string& ref,
                                                   const Digest& subject) override {
    ASSIGN_OR_RETURN(oci::RegistryCall call, CallFor(ref));
    return registry_->Referrers(call, subject);
  }

 private:
  StatusOr<oci::RegistryCall> CallFor(const std::string& ref) const {
    oci::RegistryCall call;
    ASSIGN_OR_RETURN(oci::Reference parsed, oci::ParseReference(ref));
    call.ref = oci::WithDefaultTag(std::move(parsed));
    call.auth = auth_;
    return call;
  }
  std::shared_ptr<oci::Registry> registry_;
  std::shared_ptr<oci::RegistryAuth> auth_;
  std::shared_ptr<oci::RegistryAuth> late_;
};

}  // namespace

std::shared_ptr<oci::RegistryAuth> NewSessionAuth(SessionTable& sessions,
                                                  std::vector<std::string> session_ids) {
  return std::make_shared<SessionAuth>(sessions, std::move(session_ids));
}

std::shared_ptr<cache::BlobSource> NewRegistryBlobs(std::shared_ptr<oci::Registry> registry,
                                                    oci::RegistryCall call,
                                                    SessionTable& sessions) {
  return std::make_shared<RegistryBlobs>(std::move(registry), std::move(call),
                                         std::make_shared<LateAuth>(sessions));
}

std::function<std::shared_ptr<cache::BlobSource>(const std::string&)> NewLateBlobs(
    std::shared_ptr<oci::Registry> registry, SessionTable& sessions) {
  return [registry = std::move(registry),
          late = std::make_shared<LateAuth>(sessions)](const std::string& repository)
             -> std::shared_ptr<cache::BlobSource> {
    StatusOr<oci::Reference> ref = oci::ParseReference(repository);
    if (!ref.ok()) return nullptr;
    return std::make_shared<RegistryBlobs>(registry,
                                           oci::RegistryCall{.ref = *std::move(ref), .auth = late},
                                           late);
  };
}

RegistryOriginFn NewRegistryOrigins(std::shared_ptr<oci::Registry> registry,
                                    SessionTable& sessions) {
  return [registry = std::move(registry), &sessions,
          late = std::make_shared<LateAuth>(sessions)](const ImageQuery& query) {
    return std::make_shared<RegistryOrigin>(registry, NewSessionAuth(sessions, query.sessions),
                                            late);
  };
}

}  // namespace kiln::worker
