#include "api/containerd/containerd_content_store.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "api/containerd/containerd_content.h"
#include "base/file.h"
#include "base/strings.h"
#include "cache/content/blob_holds.h"
#include "cache/content/blob_shelf.h"
#include "cache/content/written_blob.h"

namespace kiln::api {
namespace {

using Stub = ctd_content::Content::Stub;
using oci::Descriptor;

constexpr size_t kChunk = 1 << 20;
constexpr const char* kType = "content";  // of a lease's resources

// Blobs that somebody is reading: a sweep leaves them for the next one.
class OpenBlobs {
 public:
  std::shared_ptr<void> Add(const Digest& digest) {
    std::lock_guard lock(state_->mutex);
    ++state_->readers[digest];
    return std::shared_ptr<void>(state_.get(), [state = state_, digest](void*) {
      std::lock_guard inner(state->mutex);
      if (--state->readers[digest] == 0) state->readers.erase(digest);
    });
  }
  bool Has(const Digest& digest) const {
    std::lock_guard lock(state_->mutex);
    return state_->readers.contains(digest);
  }

 private:
  struct State {
    std::mutex mutex;
    std::unordered_map<Digest, int> readers;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class PinnedReader : public cache::BlobReader {
 public:
  PinnedReader(std::unique_ptr<cache::BlobReader> reader, std::shared_ptr<void> pin)
      : reader_(std::move(reader)), pin_(std::move(pin)) {}
  uint64_t size() const override { return reader_->size(); }
  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    return reader_->ReadAt(offset, buffer);
  }

 private:
  std::unique_ptr<cache::BlobReader> reader_;
  std::shared_ptr<void> pin_;
};

// The blobs in one of containerd's namespaces that are ours. Thread-safe.
class NamespaceBlobs {
 public:
  explicit NamespaceBlobs(std::shared_ptr<ContainerdLease> lease)
      : lease_(std::move(lease)),
        content_(ctd_content::Content::NewStub(lease_->client().channel())) {}
  Status Start();
  // Notes what is under the lease: also what a call made of which nobody heard, as its process was
  // killed meanwhile.
  Status Reload();
  ContainerdLease& lease() { return *lease_; }
  Stub& content() { return *content_; }
  bool Has(const Digest& digest) {
    std::lock_guard lock(mutex_);
    return ours_.contains(digest);
  }
  std::set<Digest> All() {  // also what is gone from containerd
    std::lock_guard lock(mutex_);
    return ours_;
  }
  void Note(const Digest& digest);
  // NOT_FOUND; else the blob is ours from then on.
  StatusOr<int64_t> Take(const Digest& digest);
  StatusOr<std::vector<cache::BlobStat>> List();
  Status Drop(const Digest& digest);
  void Abort(const std::string& ref);

 private:
  StatusOr<int64_t> SizeOf(const Digest& digest);

  std::shared_ptr<ContainerdLease> lease_;
  std::unique_ptr<Stub> content_;
  std::mutex mutex_;
  std::set<Digest> ours_;  // guarded by mutex_
};

Status NamespaceBlobs::Reload() {
  ASSIGN_OR_RETURN(std::vector<ContainerdLease::Resource> held, lease_->List());
  for (const auto& [type, id] : held) {
    if (type != kType) continue;
    if (StatusOr<Digest> digest = Digest::Parse(id); digest.ok()) Note(*digest);
  }
  return OkStatus();
}

Status NamespaceBlobs::Start() {
  RETURN_IF_ERROR(Reload());
  ctd_content::ListStatusesResponse writes;
  RETURN_IF_ERROR(lease_->Call(*content_, &Stub::ListStatuses, ctd_content::ListStatusesRequest(),
                               &writes));
  for (const ctd_content::Status& write : writes.statuses()) {
    if (write.ref().starts_with(lease_->id() + "-")) Abort(write.ref());
  }
  return OkStatus();
}

void NamespaceBlobs::Abort(const std::string& ref) {
  ctd_content::AbortRequest request;
  request.set_ref(ref);
  google::protobuf::Empty response;
  grpc::ClientContext context;
  lease_->Use(context, ContainerdLease::kShort);
  lease_->client().CallIn(context, *content_, &Stub::Abort, request, &response).IgnoreError();
}

void NamespaceBlobs::Note(const Digest& digest) {
  lease_->Note({kType, digest.text()});
  std::lock_guard lock(mutex_);
  ours_.insert(digest);
}

StatusOr<int64_t> NamespaceBlobs::SizeOf(const Digest& digest) {
  ctd_content::InfoRequest request;
  request.set_digest(digest.text());
  ctd_content::InfoResponse response;
  RETURN_IF_ERROR(lease_->Call(*content_, &Stub::Info, request, &response));
  return response.info().size();
}

StatusOr<int64_t> NamespaceBlobs::Take(const Digest& digest) {
  ASSIGN_OR_RETURN(int64_t size, SizeOf(digest));
  if (Has(digest)) return size;
  RETURN_IF_ERROR(lease_->Add({kType, digest.text()}));
  Note(digest);
  return SizeOf(digest);  // the collector may have been faster
}

StatusOr<std::vector<cache::BlobStat>> NamespaceBlobs::List() {
  grpc::ClientContext context;
  lease_->Use(context, ContainerdLease::kShort);
  lease_->client().Prepare(context);
  auto stream = content_->List(&context, ctd_content::ListContentRequest());
  std::vector<cache::BlobStat> found;
  for (ctd_content::ListContentResponse response; stream->Read(&response);) {
    for (const ctd_content::Info& info : response.info()) {
      StatusOr<Digest> digest = Digest::Parse(info.digest());
      if (digest.ok() && Has(*digest)) found.push_back({*digest, info.size()});
    }
  }
  const grpc::Status end = stream->Finish();
  RETURN_IF_ERROR(
      lease_->Explain(Status(static_cast<StatusCode>(end.error_code()), end.error_message())));
  return found;
}

Status NamespaceBlobs::Drop(const Digest& digest) {
  RETURN_IF_ERROR(lease_->Drop({kType, digest.text()}));
  std::lock_guard lock(mutex_);
  ours_.erase(digest);
  return OkStatus();
}

// One stream of writes.
class BlobUpload {
 public:
  explicit BlobUpload(NamespaceBlobs& blobs)
      : blobs_(blobs), ref_(StrCat(blobs.lease().id(), "-", NewId())) {}
  ~BlobUpload() {
    if (stream_ != nullptr) {
      context_->TryCancel();
      stream_->Finish();
    }
    if (begun_ && !done_) blobs_.Abort(ref_);
  }
  BlobUpload(const BlobUpload&) = delete;
  BlobUpload& operator=(const BlobUpload&) = delete;

  bool begun() const { return begun_; }
  int64_t sent() const { return sent_; }  // bytes that are there

  // ALREADY_EXISTS, and then the blob is under the lease, if `expected` is known and there.
  // Of a blob that another namespace has, all bytes may be there from the start.
  Status Begin(const Descriptor& expected) {
    ctd_content::WriteContentRequest request;
    request.set_action(ctd_content::STAT);
    request.set_ref(ref_);
    if (!expected.digest.empty()) {
      request.set_expected(expected.digest.text());
      request.set_total(expected.size);
    }
    for (bool again : {true, false}) {
      RETURN_IF_ERROR(blobs_.lease().client().Connect());
      context_ = std::make_unique<grpc::ClientContext>();
      blobs_.lease().Use(*context_, ContainerdLease::kLong);
      blobs_.lease().client().Prepare(*context_);
      stream_ = blobs_.content().Write(context_.get());
      begun_ = true;
      Status begun = Exchange(request);
      if (!again || !ContainerdLease::IsLost(begun)) return begun;
      RETURN_IF_ERROR(blobs_.lease().Restore());
    }
    return OkStatus();
  }

  Status Send(std::string bytes) {
    ctd_content::WriteContentRequest request;
    request.set_action(ctd_content::WRITE);
    request.set_offset(sent_);
    request.set_data(std::move(bytes));
    return Exchange(request);
  }

  Status Commit(const Descriptor& blob) {
    ctd_content::WriteContentRequest request;
    request.set_action(ctd_content::COMMIT);
    request.set_offset(sent_);
    request.set_total(blob.size);
    request.set_expected(blob.digest.text());
    Status committed = Exchange(request);
    if (!committed.ok() && committed.code() != StatusCode::kAlreadyExists) return committed;
    done_ = true;
    blobs_.Note(blob.digest);
    return OkStatus();
  }

 private:
  // The stream ends with the first failure, which only its end tells.
  Status Exchange(const ctd_content::WriteContentRequest& request) {
    ctd_content::WriteContentResponse response;
    if (stream_ == nullptr) return UnavailableError("containerd ended the write");
    if (stream_->Write(request) && stream_->Read(&response)) {
      sent_ = response.offset();
      return OkStatus();
    }
    const grpc::Status end = stream_->Finish();
    stream_ = nullptr;
    if (end.ok()) return UnavailableError("containerd ended the write");
    return blobs_.lease().Explain(
        Status(static_cast<StatusCode>(end.error_code()), end.error_message()));
  }

  using Stream = grpc::ClientReaderWriter<ctd_content::WriteContentRequest,
                                          ctd_content::WriteContentResponse>;
  NamespaceBlobs& blobs_;
  std::string ref_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
  int64_t sent_ = 0;
  bool begun_ = false;
  bool done_ = false;
};

class ContentWriter : public cache::BlobWriter {
 public:
  ContentWriter(NamespaceBlobs& blobs, cache::BlobHolds& holds) : holds_(holds), upload_(blobs) {}

  Status Append(std::string_view data) override {
    hash_.Update(data);
    size_ += static_cast<int64_t>(data.size());
    while (!data.empty()) {
      const size_t count = std::min(data.size(), kChunk - buffer_.size());
      buffer_.append(data.substr(0, count));
      data.remove_prefix(count);
      if (buffer_.size() == kChunk) RETURN_IF_ERROR(Flush());
    }
    return OkStatus();
  }

  StatusOr<Descriptor> Commit(const Descriptor& expected) override {
    if (done_) return FailedPreconditionError("blob writer is closed");
    Descriptor written = expected;
    written.digest = hash_.Finish();
    written.size = size_;
    done_ = true;
    RETURN_IF_ERROR(cache::CheckWritten(expected, written));
    RETURN_IF_ERROR(Flush());
    holds_.Touch(written.digest);
    RETURN_IF_ERROR(upload_.Commit(written));
    return written;
  }

 private:
  Status Flush() {
    if (!upload_.begun()) RETURN_IF_ERROR(upload_.Begin({}));
    if (buffer_.empty()) return OkStatus();
    return upload_.Send(std::exchange(buffer_, {}));
  }

  cache::BlobHolds& holds_;
  BlobUpload upload_;
  std::string buffer_;
  Sha256 hash_;
  int64_t size_ = 0;
  bool done_ = false;
};

class ContainerdContentStore : public cache::ContentStore, public cache::BlobShelf {
 public:
  ContainerdContentStore(std::shared_ptr<ContainerdLease> lease,
                         std::shared_ptr<ContainerdLease> history)
      : main_(std::move(lease)), shelf_(std::move(history)) {}
  Status Start() {
    RETURN_IF_ERROR(main_.Start());
    return shelf_.Start();
  }
  using cache::ContentStore::Open;
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const Digest& digest) override;
  StatusOr<std::unique_ptr<cache::BlobWriter>> NewWriter() override {
    return std::unique_ptr<cache::BlobWriter>(std::make_unique<ContentWriter>(main_, holds_));
  }
  StatusOr<cache::BlobStat> Stat(const Digest& digest) override;
  StatusOr<std::vector<cache::BlobStat>> List() override;
  std::shared_ptr<void> Hold() override { return holds_.Hold(); }
  StatusOr<uint64_t> Sweep(const std::function<bool(const Digest&)>& is_live) override;
  Status Shelve(std::set<Digest> only_kept) override;

 private:
  // Where the blob is to be looked for. What is on the shelf is not taken from the namespace
  // of the images again.
  NamespaceBlobs& PlaceOf(const Digest& digest) { return shelf_.Has(digest) ? shelf_ : main_; }
  static Status Copy(const Digest& digest, NamespaceBlobs& from, NamespaceBlobs& to);
  StatusOr<uint64_t> SweepPlace(NamespaceBlobs& place,
                                const std::function<bool(const Digest&)>& is_live);

  NamespaceBlobs main_;
  NamespaceBlobs shelf_;
  cache::BlobHolds holds_;
  OpenBlobs open_;
  std::mutex sweep_mutex_;
  std::set<Digest> only_kept_;   // guarded by sweep_mutex_
  bool dropped_ = false;         // since the last collection; likewise
};

StatusOr<cache::BlobStat> ContainerdContentStore::Stat(const Digest& digest) {
  holds_.Touch(digest);
  ASSIGN_OR_RETURN(int64_t size, PlaceOf(digest).Take(digest));
  return cache::BlobStat{digest, size};
}

StatusOr<std::unique_ptr<cache::BlobReader>> ContainerdContentStore::Open(const Digest& digest) {
  std::shared_ptr<void> pin = open_.Add(digest);
  RETURN_IF_ERROR(Stat(digest).status());
  NamespaceBlobs& place = PlaceOf(digest);
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader,
                   OpenContainerdBlob(place.lease().client(), place.content(), digest));
  return std::unique_ptr<cache::BlobReader>(
      std::make_unique<PinnedReader>(std::move(reader), std::move(pin)));
}

StatusOr<std::vector<cache::BlobStat>> ContainerdContentStore::List() {
  ASSIGN_OR_RETURN(std::vector<cache::BlobStat> found, main_.List());
  ASSIGN_OR_RETURN(std::vector<cache::BlobStat> shelved, shelf_.List());
  for (cache::BlobStat& blob : shelved) {
    if (!main_.Has(blob.digest)) found.push_back(std::move(blob));
  }
  return found;
}

// Containerd has the bytes once: a second namespace need not get them again, unless it is
// configured to ask.
Status ContainerdContentStore::Copy(const Digest& digest, NamespaceBlobs& from,
                                    NamespaceBlobs& to) {
  Descriptor blob;
  blob.digest = digest;
  ASSIGN_OR_RETURN(blob.size, from.Take(digest));
  BlobUpload upload(to);
  Status begun = upload.Begin(blob);
  if (begun.code() == StatusCode::kAlreadyExists) {
    to.Note(digest);
    return OkStatus();
  }
  RETURN_IF_ERROR(begun);
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobReader> reader,
                   OpenContainerdBlob(from.lease().client(), from.content(), digest));
  while (upload.sent() < blob.size) {
    std::string buffer(kChunk, '\0');
    ASSIGN_OR_RETURN(size_t count,
                     reader->ReadAt(static_cast<uint64_t>(upload.sent()),
                                    std::as_writable_bytes(std::span(buffer))));
    if (count == 0) return DataLossError(StrCat("blob ", digest.text(), " ends early"));
    buffer.resize(count);
    RETURN_IF_ERROR(upload.Send(std::move(buffer)));
  }
  return upload.Commit(blob);
}

Status ContainerdContentStore::Shelve(std::set<Digest> only_kept) {
  std::lock_guard sweeping(sweep_mutex_);
  RETURN_IF_ERROR(main_.lease().client().ConnectAtOnce());
  only_kept_ = std::move(only_kept);
  for (const Digest& digest : only_kept_) {
    if (!shelf_.Has(digest)) {
      Status copied = Copy(digest, main_, shelf_);
      if (IsNotFound(copied)) continue;  // lost
      RETURN_IF_ERROR(copied);
    }
    Status dropped;
    holds_.UnlessHeld(digest, [&] {
      if (!main_.Has(digest) || open_.Has(digest)) return;
      dropped = main_.Drop(digest);
      dropped_ = true;
    });
    RETURN_IF_ERROR(dropped);
  }
  return OkStatus();
}

StatusOr<uint64_t> ContainerdContentStore::SweepPlace(
    NamespaceBlobs& place, const std::function<bool(const Digest&)>& is_live) {
  RETURN_IF_ERROR(place.Reload());
  ASSIGN_OR_RETURN(std::vector<cache::BlobStat> found, place.List());
  std::map<Digest, int64_t> sizes;
  for (const cache::BlobStat& blob : found) sizes[blob.digest] = blob.size;
  uint64_t freed = 0;
  for (const Digest& digest : place.All()) {
    Status dropped;
    holds_.UnlessHeld(digest, [&] {
      if (is_live(digest) || open_.Has(digest)) return;
      dropped = place.Drop(digest);
      dropped_ = true;
      freed += static_cast<uint64_t>(sizes[digest]);
    });
    RETURN_IF_ERROR(dropped);
  }
  return freed;
}

StatusOr<uint64_t> ContainerdContentStore::Sweep(
    const std::function<bool(const Digest&)>& is_live) {
  std::lock_guard sweeping(sweep_mutex_);
  RETURN_IF_ERROR(main_.lease().client().ConnectAtOnce());
  for (const Digest& digest : shelf_.All()) {
    // A record has it now.
    if (only_kept_.contains(digest) || !is_live(digest) || main_.Has(digest)) continue;
    Status back = Copy(digest, shelf_, main_);
    if (!back.ok() && !IsNotFound(back)) return back;
  }
  ASSIGN_OR_RETURN(uint64_t freed, SweepPlace(main_, is_live));
  ASSIGN_OR_RETURN(uint64_t shelved, SweepPlace(shelf_, [&](const Digest& digest) {
                     return only_kept_.contains(digest);
                   }));
  if (!dropped_) return freed + shelved;
  RETURN_IF_ERROR(main_.lease().Collect());
  dropped_ = false;
  return freed + shelved;
}

}  // namespace

StatusOr<std::unique_ptr<cache::ContentStore>> OpenContainerdContentStore(
    std::shared_ptr<ContainerdLease> lease, std::shared_ptr<ContainerdLease> history) {
  auto store = std::make_unique<ContainerdContentStore>(std::move(lease), std::move(history));
  RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<cache::ContentStore>(std::move(store));
}

}  // namespace kiln::api
