#include "api/containerd/containerd_images.h"

#include <grpcpp/grpcpp.h>

#include <map>

#include "api/containerd/containerd_client.h"
#include "api/containerd/containerd_content.h"
#include "api/containerd/containerd_unpack.h"
#include "api/proto/containerd/images.grpc.pb.h"
#include "api/proto/containerd/leases.grpc.pb.h"
#include "api/proto/content.grpc.pb.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "oci/manifest.h"

namespace kiln::api {
namespace {

namespace ctd_images = ::containerd::services::images::v1;
namespace ctd_leases = ::containerd::services::leases::v1;

using oci::Descriptor;
using Labels = std::map<std::string, std::string>;

constexpr size_t kChunk = 1 << 20;

Status FromGrpc(const grpc::Status& status) {
  return {static_cast<StatusCode>(status.error_code()), status.error_message()};
}

// What a manifest or index leads to, as containerd's collector wants to be told.
StatusOr<Labels> ReferenceLabels(cache::BlobSource& source, const Descriptor& blob) {
  std::vector<Descriptor> children;
  if (oci::IsManifestType(blob.media_type)) {
    ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(source, blob));
    ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
    children.push_back(manifest.config);
    children.insert(children.end(), manifest.layers.begin(), manifest.layers.end());
  } else if (oci::IsIndexType(blob.media_type)) {
    ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(source, blob));
    ASSIGN_OR_RETURN(oci::Index index, oci::ParseIndex(bytes));
    children = index.manifests;
  }
  Labels labels;
  for (size_t i = 0; i < children.size(); ++i) {
    labels[StrCat("containerd.io/gc.ref.content.", i)] = children[i].digest.text();
  }
  return labels;
}

// One blob's stream of writes.
class BlobUpload {
 public:
  using Stream = grpc::ClientReaderWriter<ctd_content::WriteContentRequest,
                                          ctd_content::WriteContentResponse>;
  BlobUpload(std::unique_ptr<Stream> stream, const Descriptor& blob, const Labels& labels)
      : stream_(std::move(stream)), blob_(blob), labels_(labels) {}

  // ALREADY_EXISTS without reading `source` if the blob is there; it then is under the
  // lease of the call.
  Status Run(cache::BlobSource& source) {
    Status status = Send(source);
    stream_->WritesDone();
    // The end comes only after all answers were taken.
    for (ctd_content::WriteContentResponse rest; stream_->Read(&rest);) {
    }
    Status end = FromGrpc(stream_->Finish());
    return status.ok() ? end : (end.ok() ? status : end);
  }

 private:
  Status Exchange(const ctd_content::WriteContentRequest& request,
                  ctd_content::WriteContentResponse* response) {
    bool done = stream_->Write(request) && stream_->Read(response);
    return done ? OkStatus() : UnavailableError("containerd ended the write");
  }

  Status Send(cache::BlobSource& source) {
    ctd_content::WriteContentRequest request;
    ctd_content::WriteContentResponse response;
    request.set_action(ctd_content::STAT);
    request.set_ref(StrCat("kiln-", NewId()));
    request.set_total(blob_.size);
    request.set_expected(blob_.digest.text());
    RETURN_IF_ERROR(Exchange(request, &response));
    ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader, source.Open(blob_));
    uint64_t offset = 0;
    std::string buffer(kChunk, '\0');
    std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    for (;;) {
      ASSIGN_OR_RETURN(size_t count, reader->ReadAt(offset, room));
      if (count == 0) break;
      request.set_action(ctd_content::WRITE);
      request.set_offset(static_cast<int64_t>(offset));
      request.set_data(buffer.data(), count);
      RETURN_IF_ERROR(Exchange(request, &response));
      offset += count;
    }
    request.set_action(ctd_content::COMMIT);
    request.clear_data();
    request.set_offset(static_cast<int64_t>(offset));
    request.mutable_labels()->insert(labels_.begin(), labels_.end());
    return Exchange(request, &response);
  }

  std::unique_ptr<Stream> stream_;
  const Descriptor& blob_;
  const Labels& labels_;
};

}  // namespace

struct ContainerdImages::State {
  State(const std::string& address, const std::string& name_space)
      : client(address, name_space),
        content(ctd_content::Content::NewStub(client.channel())),
        images(ctd_images::Images::NewStub(client.channel())),
        leases(ctd_leases::Leases::NewStub(client.channel())) {}

  // Until the image is named, only this keeps its blobs.
  class Lease {
   public:
    explicit Lease(State& state) : state_(state), id_(NewId()) {
      ctd_leases::CreateRequest request;
      request.set_id(id_);
      // For when we die: an hour from now, in RFC 3339.
      (*request.mutable_labels())["containerd.io/gc.expire"] =
          FormatRfc3339(Time{Now().nanos + int64_t{3600} * 1'000'000'000});
      ctd_leases::CreateResponse response;
      status_ = state.client.Call(*state.leases, &ctd_leases::Leases::Stub::Create, request,
                                  &response);
    }
    ~Lease() {
      if (!status_.ok()) return;
      ctd_leases::DeleteRequest request;
      request.set_id(id_);
      google::protobuf::Empty response;
      state_.client.Call(*state_.leases, &ctd_leases::Leases::Stub::Delete, request, &response)
          .IgnoreError();
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    const Status& status() const { return status_; }
    const std::string& id() const { return id_; }
    void Use(grpc::ClientContext& context) const { context.AddMetadata("containerd-lease", id_); }

   private:
    State& state_;
    std::string id_;
    Status status_;
  };

  Status StoreBlob(const Descriptor& blob, cache::BlobSource& source, const Lease& lease) {
    ASSIGN_OR_RETURN(Labels labels, ReferenceLabels(source, blob));
    grpc::ClientContext context;
    lease.Use(context);
    client.Prepare(context);
    Status written = BlobUpload(content->Write(&context), blob, labels).Run(source);
    if (written.code() != StatusCode::kAlreadyExists) return written;
    return labels.empty() ? OkStatus() : AddLabels(blob, labels);
  }

  // Another image may have brought the blob without them.
  Status AddLabels(const Descriptor& blob, const Labels& labels) {
    ctd_content::UpdateRequest request;
    request.mutable_info()->set_digest(blob.digest.text());
    request.mutable_info()->mutable_labels()->insert(labels.begin(), labels.end());
    for (const auto& [key, value] : labels) {
      request.mutable_update_mask()->add_paths(StrCat("labels.", key));
    }
    ctd_content::UpdateResponse response;
    return client.Call(*content, &ctd_content::Content::Stub::Update, request, &response);
  }

  // The snapshots live as long as the image's config.
  Status Unpack(const Descriptor& root, cache::BlobSource& source, const std::string& snapshotter,
                const Lease& lease) {
    ASSIGN_OR_RETURN(UnpackedImage unpacked,
                     UnpackImage(client, source, root, {snapshotter, lease.id()}));
    if (unpacked.chain.empty()) return OkStatus();
    return AddLabels(unpacked.config,
                     {{StrCat("containerd.io/gc.ref.snapshot.", snapshotter), unpacked.chain}});
  }

  Status Name(const Descriptor& target, const std::string& name) {
    ctd_images::UpdateImageRequest update;
    ctd_images::Image& image = *update.mutable_image();
    image.set_name(name);
    image.mutable_target()->set_media_type(target.media_type);
    image.mutable_target()->set_digest(target.digest.text());
    image.mutable_target()->set_size(target.size);
    ctd_images::UpdateImageResponse updated;
    Status status =
        client.Call(*images, &ctd_images::Images::Stub::Update, update, &updated);
    if (!IsNotFound(status)) return status;
    ctd_images::CreateImageRequest create;
    *create.mutable_image() = image;
    ctd_images::CreateImageResponse created;
    return client.Call(*images, &ctd_images::Images::Stub::Create, create, &created);
  }

  ContainerdClient client;
  std::unique_ptr<ctd_content::Content::Stub> content;
  std::unique_ptr<ctd_images::Images::Stub> images;
  std::unique_ptr<ctd_leases::Leases::Stub> leases;
};

ContainerdImages::ContainerdImages(const std::string& address, const std::string& name_space)
    : state_(std::make_unique<State>(address, name_space)) {}
ContainerdImages::~ContainerdImages() = default;

Status ContainerdImages::Store(const std::vector<Descriptor>& blobs, cache::BlobSource& source,
                               const std::string& name, const std::string& snapshotter) {
  if (blobs.empty()) return InternalError("an image without blobs");
  RETURN_IF_ERROR(state_->client.Connect());
  State::Lease lease(*state_);
  RETURN_IF_ERROR(lease.status());
  for (const Descriptor& blob : blobs) {
    Status stored = state_->StoreBlob(blob, source, lease);
    if (!stored.ok()) return Annotate(stored, StrCat("storing ", blob.digest.text()));
  }
  if (!snapshotter.empty()) {
    RETURN_IF_ERROR(state_->Unpack(blobs.back(), source, snapshotter, lease));
  }
  return state_->Name(blobs.back(), name);
}

StatusOr<Descriptor> ContainerdImages::Find(const std::string& name) {
  ctd_images::GetImageRequest request;
  request.set_name(name);
  ctd_images::GetImageResponse response;
  RETURN_IF_ERROR(state_->client.Call(*state_->images, &ctd_images::Images::Stub::Get, request,
                                      &response));
  const auto& target = response.image().target();
  Descriptor found;
  found.media_type = target.media_type();
  ASSIGN_OR_RETURN(found.digest, Digest::Parse(target.digest()));
  found.size = target.size();
  return found;
}

StatusOr<std::unique_ptr<cache::BlobReader>> ContainerdImages::Open(const Digest& digest) {
  return OpenContainerdBlob(state_->client, *state_->content, digest);
}

}  // namespace kiln::api
