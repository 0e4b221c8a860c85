// References by id and the one result; see client_frontend.h.
#include "control/client_frontend.h"

#include "base/file.h"
#include "base/strings.h"
#include "control/reference.h"
#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

// What a reference takes besides its definition: its graph, provenance, and ids; measured.
constexpr size_t kReferenceBytes = 8 << 10;
// The definition as it came, as a graph, and as what provenance tells of it.
constexpr size_t kCopies = 3;
constexpr size_t kIdsShown = 100;

}  // namespace

Status ClientFrontend::CheckRoom() {
  std::lock_guard lock(mutex_);
  if (taken_ <= room_) return OkStatus();
  return ResourceExhaustedError(
      StrCat("the frontend holds too many results: ", references_.size()));
}

std::string ClientFrontend::Register(const frontend::ReferencePtr& reference) {
  if (reference == nullptr) return "";
  std::string id = NewId();
  size_t bytes = kReferenceBytes;
  if (auto definition = reference->definition()) bytes += kCopies * definition->ByteSizeLong();
  std::lock_guard lock(mutex_);
  taken_ += bytes;
  references_[id] = reference;
  return id;
}

void ClientFrontend::Name(const std::string& id, const frontend::ReferencePtr& reference) {
  if (reference == nullptr) return;
  std::lock_guard lock(mutex_);
  references_[id] = reference;
}

StatusOr<frontend::ReferencePtr> ClientFrontend::Find(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto entry = references_.find(id);
  if (entry != references_.end()) return entry->second;
  std::string all;
  size_t shown = 0;
  for (const auto& [known, reference] : references_) {
    if (++shown > kIdsShown) break;
    all += StrCat(all.empty() ? "" : " ", known);
  }
  return UnknownError(StrCat("no such ref: ", id, ", all [", all, "]"));
}

StatusOr<frontend::ReferencePtr> ClientFrontend::Returned(const std::string& id) {
  if (id.empty()) return frontend::ReferencePtr();
  std::lock_guard lock(mutex_);
  auto entry = references_.find(id);
  if (entry != references_.end()) return entry->second;
  return UnknownError(StrCat("return reference ", id, " not found"));
}

std::string ClientFrontend::RegisterTree(cache::Ref tree) {
  if (tree.empty()) return "";
  std::string id = tree.id();
  std::lock_guard lock(mutex_);
  trees_.try_emplace(id, std::move(tree));
  return id;
}

StatusOr<cache::Ref> ClientFrontend::TreeOf(const std::string& id) {
  {
    std::lock_guard lock(mutex_);
    auto tree = trees_.find(id);
    if (tree != trees_.end()) return tree->second.Clone();
  }
  ASSIGN_OR_RETURN(frontend::ReferencePtr reference, Returned(id));
  return RefOf(reference);
}

Status ClientFrontend::Return(StatusOr<frontend::Result> result) {
  std::lock_guard lock(mutex_);
  if (result_) return UnknownError("gateway result is already set");
  result_ = std::move(result);
  returned_.notify_all();
  return OkStatus();
}

StatusOr<frontend::Result> ClientFrontend::Wait(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!returned_.wait(lock, stop, [&] { return result_.has_value(); })) {
    return CancelledError("context canceled");
  }
  return *result_;
}

StatusOr<frontend::Result> ClientFrontend::Outcome(const Status& process) {
  std::lock_guard lock(mutex_);
  if (result_ && !result_->ok()) return result_->status();
  RETURN_IF_ERROR(process);
  if (!result_) return UnknownError("no result for incomplete build");
  return *result_;
}

}  // namespace kiln::control
