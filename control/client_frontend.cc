// References by id and the one result; see client_frontend.h.
#include "control/client_frontend.h"

#include "base/file.h"
#include "base/strings.h"

namespace kiln::control {

std::string ClientFrontend::Register(const frontend::ReferencePtr& reference) {
  if (reference == nullptr) return "";
  std::string id = NewId();
  std::lock_guard lock(mutex_);
  references_[id] = reference;
  return id;
}

StatusOr<frontend::ReferencePtr> ClientFrontend::Find(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto entry = references_.find(id);
  if (entry != references_.end()) return entry->second;
  std::string all;
  for (const auto& [known, reference] : references_) all += StrCat(all.empty() ? "" : " ", known);
  return UnknownError(StrCat("no such ref: ", id, ", all [", all, "]"));
}

StatusOr<frontend::ReferencePtr> ClientFrontend::Returned(const std::string& id) {
  if (id.empty()) return frontend::ReferencePtr();
  std::lock_guard lock(mutex_);
  auto entry = references_.find(id);
  if (entry != references_.end()) return entry->second;
  return UnknownError(StrCat("return reference ", id, " not found"));
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

}  // namespace kiln::control
