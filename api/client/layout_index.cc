// See layout_index.h.
#include "api/client/layout_index.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace kiln::api {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kImageName = "io.containerd.image.name";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";

// flock on "index.json.lock", which goes with the lock.
class IndexLock {
 public:
  static StatusOr<IndexLock> Take(const std::string& path, int mode) {
    IndexLock lock;
    StatusOr<UniqueFd> fd = OpenFile(path, O_RDWR | O_CREAT, 0600);
    if (!fd.ok()) {
      bool read_only = mode == LOCK_SH && (errno == EPERM || errno == EROFS);
      if (read_only) return lock;
      return Annotate(fd.status(), StrCat("could not lock ", path));
    }
    if (::flock(fd->get(), mode | LOCK_NB) != 0) return UnknownError(StrCat("could not lock ", path));
    lock.fd_ = *std::move(fd);
    lock.path_ = path;
    return lock;
  }
  IndexLock(IndexLock&&) = default;
  ~IndexLock() {
    if (fd_.valid()) ::unlink(path_.c_str());
  }

 private:
  IndexLock() = default;
  UniqueFd fd_;
  std::string path_;
};

std::string Annotation(const json& manifest, const char* key) {
  auto annotations = manifest.find("annotations");
  if (annotations == manifest.end() || !annotations->is_object()) return "";
  auto value = annotations->find(key);
  return value != annotations->end() && value->is_string() ? value->get<std::string>() : "";
}

StatusOr<json> ParseIndex(const std::string& path, const std::string& text) {
  json index = json::parse(text, nullptr, false);
  if (!index.is_object()) {
    return UnknownError(StrCat("could not unmarshal ", path, " (", Quote(text), ")"));
  }
  if (!index.contains("manifests") || !index["manifests"].is_array()) {
    index["manifests"] = json::array();
  }
  return index;
}

// The tag of an image name, as containerd's reference parser splits it.
std::string TagOf(const std::string& name) {
  size_t at = name.find('@');
  size_t slash = name.rfind('/', at);
  size_t colon = name.find(':', slash == std::string::npos ? 0 : slash);
  if (slash == std::string::npos) return name;
  if (colon != std::string::npos && (at == std::string::npos || colon < at)) {
    return name.substr(colon + 1);
  }
  return at == std::string::npos ? "" : name.substr(at);
}

}  // namespace

StatusOr<std::vector<LayoutEntry>> LayoutIndex::Read() const {
  std::string path = dir_ + "/index.json";
  ASSIGN_OR_RETURN(IndexLock lock, IndexLock::Take(path + ".lock", LOCK_SH));
  StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return Annotate(text.status(), StrCat("could not read ", path));
  ASSIGN_OR_RETURN(json index, ParseIndex(path, *text));
  std::vector<LayoutEntry> entries;
  for (const json& manifest : index["manifests"]) {
    if (!manifest.is_object() || !manifest.contains("digest")) continue;
    if (!manifest["digest"].is_string()) continue;
    entries.push_back({manifest["digest"].get<std::string>(), manifest.dump()});
  }
  return entries;
}

StatusOr<std::optional<LayoutEntry>> LayoutIndex::Get(const std::string& tag) const {
  ASSIGN_OR_RETURN(std::vector<LayoutEntry> entries, Read());
  for (const char* key : {kImageName, kRefName}) {
    for (const LayoutEntry& entry : entries) {
      json manifest = json::parse(entry.json, nullptr, false);
      if (Annotation(manifest, key) == tag && !tag.empty()) return std::optional(entry);
    }
  }
  return std::optional<LayoutEntry>();
}

Status LayoutIndex::Put(const std::string& descriptor, const std::vector<LayoutName>& names) const {
  std::string path = dir_ + "/index.json";
  ASSIGN_OR_RETURN(IndexLock lock, IndexLock::Take(path + ".lock", LOCK_EX));
  RETURN_IF_ERROR(WriteFileAtomic(dir_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  json index = {{"schemaVersion", 2},
                {"mediaType", "application/vnd.oci.image.index.v1+json"},
                {"manifests", json::array()}};
  if (StatusOr<std::string> text = ReadFile(path); text.ok() && !text->empty()) {
    ASSIGN_OR_RETURN(index, ParseIndex(path, *text));
  }
  json parsed = json::parse(descriptor, nullptr, false);
  if (!parsed.is_object()) return UnknownError("invalid descriptor of the result");
  for (const LayoutName& name : names) {
    json entry = parsed;
    std::string image = name.is_tag ? "" : name.value;
    std::string ref = name.is_tag ? name.value : TagOf(name.value);
    if (!image.empty()) entry["annotations"][kImageName] = image;
    entry["annotations"][kRefName] = ref;
    // Sorted, as all annotations are.
    entry["annotations"] = json(nlohmann::json(entry["annotations"]));
    json kept = json::array();
    for (json& old : index["manifests"]) {
      if (Annotation(old, kRefName) != ref || Annotation(old, kImageName) != image) {
        kept.push_back(std::move(old));
      }
    }
    kept.push_back(std::move(entry));
    index["manifests"] = std::move(kept);
  }
  return WriteFileAtomic(path, index.dump());
}

}  // namespace kiln::api
