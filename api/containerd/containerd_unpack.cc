#include "api/containerd/containerd_unpack.h"

#include <grpcpp/grpcpp.h>

#include "api/proto/containerd/diff.grpc.pb.h"
#include "api/proto/containerd/snapshots.grpc.pb.h"
#include "base/file.h"
#include "base/platform.h"
#include "base/strings.h"
#include "oci/image_config.h"
#include "oci/manifest.h"

namespace kiln::api {
namespace {

namespace ctd_diff = ::containerd::services::diff::v1;
namespace ctd_snapshots = ::containerd::services::snapshots::v1;

class Unpacker {
 public:
  Unpacker(ContainerdClient& client, const UnpackTarget& target)
      : client_(client),
        target_(target),
        snapshots_(ctd_snapshots::Snapshots::NewStub(client.channel())),
        diff_(ctd_diff::Diff::NewStub(client.channel())) {}

  // The snapshot `name` out of the one below ("" for none) and a layer.
  Status Layer(const std::string& name, const std::string& below, const oci::Descriptor& layer,
               const std::string& diff_id) {
    ctd_snapshots::StatSnapshotRequest stat;
    stat.set_snapshotter(target_.snapshotter);
    stat.set_key(name);
    ctd_snapshots::StatSnapshotResponse known;
    if (Call(*snapshots_, &ctd_snapshots::Snapshots::Stub::Stat, stat, &known).ok()) return OkStatus();
    const std::string key = StrCat("kiln-", NewId());
    ctd_snapshots::PrepareSnapshotRequest prepare;
    prepare.set_snapshotter(target_.snapshotter);
    prepare.set_key(key);
    prepare.set_parent(below);
    ctd_snapshots::PrepareSnapshotResponse prepared;
    RETURN_IF_ERROR(
        Call(*snapshots_, &ctd_snapshots::Snapshots::Stub::Prepare, prepare, &prepared));
    Status made = Apply(prepared, layer, diff_id);
    if (made.ok()) made = Commit(key, name);
    if (made.ok()) return made;
    Remove(key);
    // Somebody else unpacks the same.
    return made.code() == StatusCode::kAlreadyExists ? OkStatus() : made;
  }

 private:
  template <typename Service, typename Request, typename Response>
  Status Call(Service& service,
              grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, Response* response) {
    grpc::ClientContext context;
    context.AddMetadata("containerd-lease", target_.lease);
    return client_.CallIn(context, service, method, request, response);
  }

  Status Apply(const ctd_snapshots::PrepareSnapshotResponse& prepared, const oci::Descriptor& layer,
               const std::string& diff_id) {
    ctd_diff::ApplyRequest request;
    request.mutable_diff()->set_media_type(layer.media_type);
    request.mutable_diff()->set_digest(layer.digest.text());
    request.mutable_diff()->set_size(layer.size);
    *request.mutable_mounts() = prepared.mounts();
    ctd_diff::ApplyResponse response;
    RETURN_IF_ERROR(Call(*diff_, &ctd_diff::Diff::Stub::Apply, request, &response));
    if (response.applied().digest() == diff_id) return OkStatus();
    return DataLossError(StrCat("wrong diff id ", response.applied().digest(), " of layer ",
                                layer.digest.text(), ", expected ", diff_id));
  }

  Status Commit(const std::string& key, const std::string& name) {
    ctd_snapshots::CommitSnapshotRequest request;
    request.set_snapshotter(target_.snapshotter);
    request.set_key(key);
    request.set_name(name);
    google::protobuf::Empty response;
    return Call(*snapshots_, &ctd_snapshots::Snapshots::Stub::Commit, request, &response);
  }

  void Remove(const std::string& key) {
    ctd_snapshots::RemoveSnapshotRequest request;
    request.set_snapshotter(target_.snapshotter);
    request.set_key(key);
    google::protobuf::Empty response;
    Call(*snapshots_, &ctd_snapshots::Snapshots::Stub::Remove, request, &response).IgnoreError();
  }

  ContainerdClient& client_;
  const UnpackTarget& target_;
  std::unique_ptr<ctd_snapshots::Snapshots::Stub> snapshots_;
  std::unique_ptr<ctd_diff::Diff::Stub> diff_;
};

}  // namespace

StatusOr<UnpackedImage> UnpackImage(ContainerdClient& client, cache::BlobSource& source,
                                    const oci::Descriptor& root, const UnpackTarget& target) {
  oci::Descriptor chosen = root;
  if (oci::IsIndexType(root.media_type)) {
    ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(source, root));
    ASSIGN_OR_RETURN(oci::Index index, oci::ParseIndex(bytes));
    const oci::Descriptor* own = oci::ChooseManifest(index, DefaultPlatform());
    if (own == nullptr) return UnpackedImage{};
    chosen = *own;
  }
  ASSIGN_OR_RETURN(std::string bytes, cache::ReadBlob(source, chosen));
  ASSIGN_OR_RETURN(oci::Manifest manifest, oci::ParseManifest(bytes));
  ASSIGN_OR_RETURN(std::string config, cache::ReadBlob(source, manifest.config));
  ASSIGN_OR_RETURN(oci::Image image, oci::ParseImage(config));
  const std::vector<std::string> diff_ids = image.diff_ids.value_or(std::vector<std::string>());
  if (diff_ids.size() != manifest.layers.size()) {
    return InvalidArgumentError(StrCat("mismatched image rootfs and manifest layers: ",
                                       diff_ids.size(), " and ", manifest.layers.size()));
  }
  Unpacker unpacker(client, target);
  UnpackedImage unpacked{manifest.config, ""};
  std::vector<DiffId> chain;
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    ASSIGN_OR_RETURN(Digest digest, Digest::Parse(diff_ids[i]));
    chain.push_back(DiffId{digest});
    const std::string name = ChainId(chain).text();
    RETURN_IF_ERROR(unpacker.Layer(name, unpacked.chain, manifest.layers[i], diff_ids[i]));
    unpacked.chain = name;
  }
  return unpacked;
}

}  // namespace kiln::api
