// LayoutIndex: index.json of an OCI layout folder, by tag or image name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace kiln::api {

// One manifest of the index; `json` is its descriptor as it stands.
struct LayoutEntry {
  std::string digest;
  std::string json;
};

// A name of a manifest: a bare tag, or an image name whose tag is derived.
struct LayoutName {
  std::string value;
  bool is_tag = false;
};

// Files are locked while they are used. Error texts are the reference's.
class LayoutIndex {
 public:
  explicit LayoutIndex(std::string dir) : dir_(std::move(dir)) {}
  StatusOr<std::vector<LayoutEntry>> Read() const;
  // By image name first, then by tag; none if there is no such.
  StatusOr<std::optional<LayoutEntry>> Get(const std::string& tag) const;
  // Adds the descriptor (JSON) under each name; what had the name goes.
  Status Put(const std::string& descriptor, const std::vector<LayoutName>& names) const;

 private:
  std::string dir_;
};

}  // namespace kiln::api
