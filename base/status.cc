#include "base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>

namespace kiln {
namespace {

StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT: return StatusCode::kNotFound;
    case EEXIST: return StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM: return StatusCode::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG: return StatusCode::kInvalidArgument;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return StatusCode::kResourceExhausted;
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EBUSY:
    case ELOOP: return StatusCode::kFailedPrecondition;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH: return StatusCode::kUnavailable;
    case ETIMEDOUT: return StatusCode::kDeadlineExceeded;
    default: return StatusCode::kUnknown;
  }
}

}  // namespace

std::string_view StatusCodeName(StatusCode code) {
  constexpr std::string_view kNames[] = {
      "OK",          "Canceled",         "Unknown",           "InvalidArgument",
      "DeadlineExceeded", "NotFound",    "AlreadyExists",     "PermissionDenied",
      "ResourceExhausted", "FailedPrecondition", "Aborted",   "OutOfRange",
      "Unimplemented", "Internal",       "Unavailable",       "DataLoss",
      "Unauthenticated"};
  auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "Unknown";
}

Status::Status(StatusCode code, std::string message) {
  if (code != StatusCode::kOk) {
    rep_ = std::make_shared<const Rep>(Rep{code, std::move(message), {}});
  }
}

const std::string& Status::message() const {
  static const std::string empty;
  return rep_ == nullptr ? empty : rep_->message;
}

const std::vector<StatusDetail>& Status::details() const {
  static const std::vector<StatusDetail> empty;
  return rep_ == nullptr ? empty : rep_->details;
}

void Status::AddDetail(std::string_view type_url, std::string bytes) {
  if (rep_ != nullptr) {
    auto copy = std::make_shared<Rep>(*rep_);
    copy->details.push_back({std::string(type_url), std::move(bytes)});
    rep_ = std::move(copy);
  }
}

const StatusDetail* Status::FindDetail(std::string_view type_url) const {
  for (const StatusDetail& detail : details()) {
    if (detail.type_url == type_url) return &detail;
  }
  return nullptr;
}

std::string Status::ToString() const {
  return ok() ? "OK" : StrCat(StatusCodeName(code()), ": ", message());
}

std::ostream& operator<<(std::ostream& out, const Status& status) {
  return out << status.ToString();
}

Status Annotate(const Status& status, std::string_view what) {
  if (status.ok()) {
    return status;
  }
  Status result;
  result.rep_ = std::make_shared<const Status::Rep>(
      Status::Rep{status.code(), StrCat(what, ": ", status.message()), status.details()});
  return result;
}

std::string ErrnoText(int error) {
  char buffer[128];
  std::string text = strerror_r(error, buffer, sizeof buffer);
  // Go prints errno texts in lower case.
  if (text.size() > 1 && text[1] >= 'a' && text[1] <= 'z' && text[0] >= 'A' && text[0] <= 'Z') {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  return text;
}

Status ErrnoStatus(int error, std::string_view what) {
  return Status(CodeOfErrno(error),
                what.empty() ? ErrnoText(error) : StrCat(what, ": ", ErrnoText(error)));
}

namespace internal {
void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}
}  // namespace internal

}  // namespace kiln
