// Secrets and uploads: values and streams of the client by name.
#include <grpcpp/server_context.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "api/client/attachments.h"
#include "api/proto/session/secrets.grpc.pb.h"
#include "api/proto/session/upload.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "base/file.h"

namespace kiln::api {
namespace {

namespace secrets = ::moby::buildkit::secrets::v1;
namespace upload = ::moby::upload::v1;

constexpr int64_t kMaxSecret = 500 << 10;

class SecretsService final : public secrets::Secrets::Service {
 public:
  explicit SecretsService(std::map<std::string, SecretSource> sources)
      : sources_(std::move(sources)) {}

  grpc::Status GetSecret(grpc::ServerContext*, const secrets::GetSecretRequest* request,
                         secrets::GetSecretResponse* response) override {
    StatusOr<std::string> value = Value(request->id());
    if (!value.ok()) return ToGrpcWithStack(value.status());
    response->set_data(*std::move(value));
    return grpc::Status::OK;
  }

 private:
  StatusOr<std::string> Value(const std::string& id) const {
    auto source = sources_.find(id);
    if (source == sources_.end()) return NotFoundError("not found");
    std::string value;
    if (!source->second.env.empty()) {
      const char* text = std::getenv(source->second.env.c_str());
      if (text != nullptr) value = text;
    } else {
      ASSIGN_OR_RETURN(value, ReadFile(source->second.file));
    }
    if (value.size() > kMaxSecret) return UnknownError(StrCat("invalid secret size ", value.size()));
    return value;
  }

  std::map<std::string, SecretSource> sources_;
};

class UploadService final : public upload::Upload::Service {
 public:
  explicit UploadService(std::map<std::string, std::shared_ptr<UniqueFd>> streams)
      : streams_(std::move(streams)) {}

  grpc::Status Pull(grpc::ServerContext* context,
                    grpc::ServerReaderWriter<upload::BytesMessage, upload::BytesMessage>* stream)
      override {
    std::string name;
    auto path = context->client_metadata().find("urlpath");
    if (path != context->client_metadata().end()) {
      name = BaseName(std::string_view(path->second.data(), path->second.size()));
    }
    std::shared_ptr<UniqueFd> source;
    {
      std::lock_guard lock(mutex_);
      auto found = streams_.find(name);
      if (found == streams_.end()) {
        return ToGrpcWithStack(UnknownError(StrCat("no http response from session for ", name)));
      }
      source = std::move(found->second);
      streams_.erase(found);
    }
    upload::BytesMessage message;
    std::string buffer(256 << 10, '\0');
    while (true) {
      ssize_t n = ::read(source->get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ToGrpcWithStack(ErrnoStatus(errno, "read"));
      if (n == 0) return grpc::Status::OK;
      message.set_data(buffer.data(), static_cast<size_t>(n));
      if (!stream->Write(message)) return grpc::Status::CANCELLED;
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<UniqueFd>> streams_;
};

}  // namespace

StatusOr<Attachment> ServeSecrets(std::vector<SecretSource> sources) {
  std::map<std::string, SecretSource> by_id;
  for (SecretSource& source : sources) {
    if (source.id.empty()) return UnknownError("secret missing ID");
    if (source.env.empty() && source.file.empty()) {
      (std::getenv(source.id.c_str()) != nullptr ? source.env : source.file) = source.id;
    }
    if (!source.file.empty()) {
      struct stat st{};
      if (::stat(source.file.c_str(), &st) != 0) {
        return ErrnoStatus(errno, StrCat("failed to stat ", source.file, ": stat ", source.file));
      }
      if (st.st_size > kMaxSecret) {
        return UnknownError(StrCat("secret ", source.id, " too big. max size 500KiB"));
      }
    }
    by_id[source.id] = source;
  }
  return Attachment{std::make_shared<SecretsService>(std::move(by_id)),
                    {"/moby.buildkit.secrets.v1.Secrets/GetSecret"}};
}

Attachment ServeUploads(std::map<std::string, std::shared_ptr<UniqueFd>> streams) {
  return {std::make_shared<UploadService>(std::move(streams)), {"/moby.upload.v1.Upload/Pull"}};
}

}  // namespace kiln::api
