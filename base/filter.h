// Filter: containerd's filter expressions over the fields of an object,
// `type==regular,shared`, `id~=^ab`, `labels."a b"!=x`.
//
// Within an expression all selectors must match; of several expressions one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

// Immutable; safe on every thread.
class Filter {
 public:
  // A field's value; nothing if the object does not have it.
  using Field = std::function<std::optional<std::string>(std::span<const std::string> path)>;

  // Matches everything.
  Filter() = default;
  // No expressions, or an empty one, match everything. INVALID_ARGUMENT with
  // containerd's text and the place of the fault.
  static StatusOr<Filter> ParseAll(const std::vector<std::string>& expressions);

  bool Match(const Field& field) const;

 private:
  struct Selector;
  using Expression = std::vector<Selector>;
  friend class FilterParser;
  std::shared_ptr<const std::vector<Expression>> any_;
};

}  // namespace kiln
