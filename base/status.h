// Status and StatusOr: how every failure travels in Kiln.
//
// Codes are gRPC's numbers. Messages are in the reference's words where tools
// match on them; context is added once per layer with `Annotate`. Typed detail
// (exit codes, Dockerfile ranges, vertex digests) rides along as details: opaque
// bytes under a type URL, in the order in which they were added.
// Not absl::Status: see docs/dev/decisions/0002-own-status.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace kiln {

// gRPC's codes, by number.
enum class StatusCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
// "NotFound", "Canceled", … as Go's codes print.
std::string_view StatusCodeName(StatusCode code);

// One typed detail: the type URL of a message and its bytes.
struct StatusDetail {
  std::string type_url;
  std::string bytes;
  bool operator==(const StatusDetail&) const = default;
};

// A copyable value; copies share their text. OK costs one null pointer.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message);

  bool ok() const { return rep_ == nullptr; }
  StatusCode code() const { return rep_ == nullptr ? StatusCode::kOk : rep_->code; }
  const std::string& message() const;
  // All details in the order of adding.
  const std::vector<StatusDetail>& details() const;
  // Appends a detail; several of one type may be attached. No effect on OK.
  void AddDetail(std::string_view type_url, std::string bytes);
  // The first detail of that type, or null.
  const StatusDetail* FindDetail(std::string_view type_url) const;
  // "OK" or "NotFound: message", for logs and tests.
  std::string ToString() const;
  void IgnoreError() const {}

 private:
  struct Rep {
    StatusCode code;
    std::string message;
    std::vector<StatusDetail> details;
  };
  friend Status Annotate(const Status& status, std::string_view what);
  std::shared_ptr<const Rep> rep_;
};
std::ostream& operator<<(std::ostream& out, const Status& status);

inline Status OkStatus() { return Status(); }
inline Status CancelledError(std::string m) { return {StatusCode::kCancelled, std::move(m)}; }
inline Status UnknownError(std::string m) { return {StatusCode::kUnknown, std::move(m)}; }
inline Status InvalidArgumentError(std::string m) { return {StatusCode::kInvalidArgument, std::move(m)}; }
inline Status DeadlineExceededError(std::string m) { return {StatusCode::kDeadlineExceeded, std::move(m)}; }
inline Status NotFoundError(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
inline Status AlreadyExistsError(std::string m) { return {StatusCode::kAlreadyExists, std::move(m)}; }
inline Status PermissionDeniedError(std::string m) { return {StatusCode::kPermissionDenied, std::move(m)}; }
inline Status ResourceExhaustedError(std::string m) { return {StatusCode::kResourceExhausted, std::move(m)}; }
inline Status FailedPreconditionError(std::string m) { return {StatusCode::kFailedPrecondition, std::move(m)}; }
inline Status AbortedError(std::string m) { return {StatusCode::kAborted, std::move(m)}; }
inline Status OutOfRangeError(std::string m) { return {StatusCode::kOutOfRange, std::move(m)}; }
inline Status UnimplementedError(std::string m) { return {StatusCode::kUnimplemented, std::move(m)}; }
inline Status InternalError(std::string m) { return {StatusCode::kInternal, std::move(m)}; }
inline Status UnavailableError(std::string m) { return {StatusCode::kUnavailable, std::move(m)}; }
inline Status DataLossError(std::string m) { return {StatusCode::kDataLoss, std::move(m)}; }
inline Status UnauthenticatedError(std::string m) { return {StatusCode::kUnauthenticated, std::move(m)}; }

inline bool IsCancelled(const Status& status) { return status.code() == StatusCode::kCancelled; }
inline bool IsNotFound(const Status& status) { return status.code() == StatusCode::kNotFound; }

// "what: message", same code and details. OK stays OK.
Status Annotate(const Status& status, std::string_view what);

// The code for an errno, with "what: text" as message; texts as Go prints them
// ("no such file or directory"). An empty `what` gives the text alone.
Status ErrnoStatus(int error, std::string_view what);
std::string ErrnoText(int error);

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}  // namespace internal

// A broken invariant: prints where and aborts, also in release. Never for input.
#define KILN_CHECK(condition) \
  ((condition) ? (void)0 : ::kiln::internal::CheckFailed(__FILE__, __LINE__, #condition))

// A value or the reason why there is none. Never OK without a value.
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(Status status) : status_(std::move(status)) { KILN_CHECK(!status_.ok()); }
  StatusOr(T value) : value_(std::move(value)) {}
  template <typename U>
    requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> &&
             !std::is_same_v<std::remove_cvref_t<U>, StatusOr<T>>)
  StatusOr(U&& value) : value_(std::forward<U>(value)) {}

  bool ok() const { return value_.has_value(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }
  T& operator*() & { return Get(); }
  const T& operator*() const& { return const_cast<StatusOr*>(this)->Get(); }
  T&& operator*() && { return std::move(Get()); }
  T* operator->() { return &Get(); }
  const T* operator->() const { return &const_cast<StatusOr*>(this)->Get(); }
  T& value() & { return Get(); }
  T&& value() && { return std::move(Get()); }
  T value_or(T other) const& { return ok() ? *value_ : std::move(other); }
  void IgnoreError() const {}

 private:
  T& Get() {
    KILN_CHECK(value_.has_value());
    return *value_;
  }
  Status status_;
  std::optional<T> value_;
};

namespace internal {
inline const Status& AsStatus(const Status& status) { return status; }
template <typename T>
const Status& AsStatus(const StatusOr<T>& value) {
  return value.status();
}
}  // namespace internal

#define KILN_CONCAT_INNER(a, b) a##b
#define KILN_CONCAT(a, b) KILN_CONCAT_INNER(a, b)

// Leaves the function with the status of `expr` unless it is OK.
#define RETURN_IF_ERROR(expr) \
  KILN_RETURN_IF_ERROR(KILN_CONCAT(kiln_status_, __COUNTER__), expr)
#define KILN_RETURN_IF_ERROR(tmp, expr)     \
  do {                                      \
    if (auto tmp = (expr); !tmp.ok()) {     \
      return ::kiln::internal::AsStatus(tmp); \
    }                                       \
  } while (false)

#define KILN_ASSIGN_OR_RETURN(tmp, lhs, expr) \
  auto tmp = (expr);                          \
  if (!tmp.ok()) {                            \
    return std::move(tmp).status();           \
  }                                           \
  lhs = *std::move(tmp)

// Assigns the value of a StatusOr, or leaves the function with its status.
#define ASSIGN_OR_RETURN(lhs, expr) \
  KILN_ASSIGN_OR_RETURN(KILN_CONCAT(kiln_or_, __COUNTER__), lhs, expr)

}  // namespace kiln
