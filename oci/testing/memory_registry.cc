#include "oci/testing/memory_registry.h"

#include <regex>

#include "base/strings.h"

namespace kiln::oci::testing {
namespace {

std::string Unescape(std::string text) { return ReplaceAll(std::move(text), "%3A", ":"); }

// What stands behind the last `mark` of a path.
std::string Behind(const std::string& text, std::string_view mark) {
  size_t at = text.rfind(mark);
  return at == std::string::npos ? "" : text.substr(at + mark.size());
}

}  // namespace

MemoryRegistry::MemoryRegistry()
    : server_([this](const ServedRequest& request) { return Answer(request); }) {}

ServedAnswer MemoryRegistry::Answer(const ServedRequest& request) {
  std::lock_guard lock(mutex_);
  std::string path = Unescape(request.target);
  std::string what = path.substr(0, path.find('?'));
  what = Contains(what, "/blobs/uploads") ? "uploads" : Behind(what, "/");
  log_.push_back(StrCat(request.method, " ", what));
  if (refuse_ == 401) return {401, "", {{"WWW-Authenticate", "Basic realm=\"here\""}}};
  if (refuse_ != 0) return {refuse_};
  if (Contains(path, "/blobs/uploads")) return Upload(request);
  if (Contains(path, "/blobs/")) return Blob(request, what);
  if (!Contains(path, "/manifests/")) return {200};
  const std::string repository = path.substr(0, path.rfind("/manifests/"));
  const std::string name = what.starts_with("sha256:") ? what : StrCat(repository, ":", what);
  return request.method == "PUT" ? PutManifest(request, name) : GetManifest(name);
}

ServedAnswer MemoryRegistry::Blob(const ServedRequest& request, const std::string& digest) {
  auto found = blobs_.find(digest);
  if (found == blobs_.end()) return {404};
  std::string bytes = found->second;
  const std::string range = Behind(request.Header("range"), "bytes=");
  uint64_t from = 0;
  if (range.empty() || !ParseUint64(range.substr(0, range.find('-')), &from)) return {200, bytes};
  if (from >= bytes.size()) return {416};
  return {206, bytes.substr(from),
          {{"Content-Range", StrCat("bytes ", from, "-", bytes.size() - 1, "/", bytes.size())}}};
}

ServedAnswer MemoryRegistry::Upload(const ServedRequest& request) {
  if (request.method == "POST") return {202, "", {{"Location", request.target + "1"}}};
  const std::string digest = Behind(Unescape(request.target), "digest=");
  if (Digest::Of(request.body).text() != digest) return {400};
  blobs_[digest] = request.body;
  log_.push_back(StrCat("SENT ", digest));
  return {201};
}

ServedAnswer MemoryRegistry::PutManifest(const ServedRequest& request, const std::string& name) {
  const std::string digest = Digest::Of(request.body).text();
  static const std::regex kNamed("\"digest\":\"(sha256:[0-9a-f]{64})\"");
  auto begin = std::sregex_iterator(request.body.begin(), request.body.end(), kNamed);
  for (auto it = begin; it != std::sregex_iterator(); ++it) {
    const std::string named = (*it)[1];
    if (blobs_.contains(named) || manifests_.contains(named)) continue;
    return {400, StrCat(R"({"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","detail":")", named,
                        "\"}]}")};
  }
  manifests_[name] = manifests_[digest] = {request.Header("content-type"), request.body};
  return {201};
}

ServedAnswer MemoryRegistry::GetManifest(const std::string& name) {
  auto found = manifests_.find(name);
  if (found == manifests_.end()) return {404};
  return {200, found->second.bytes,
          {{"Content-Type", found->second.type},
           {"Docker-Content-Digest", Digest::Of(found->second.bytes).text()}}};
}

std::vector<std::string> MemoryRegistry::TakeLog() {
  std::lock_guard lock(mutex_);
  return std::exchange(log_, {});
}

bool MemoryRegistry::Has(const Digest& blob) {
  std::lock_guard lock(mutex_);
  return blobs_.contains(blob.text()) || manifests_.contains(blob.text());
}

void MemoryRegistry::Lose(const Digest& blob) {
  std::lock_guard lock(mutex_);
  blobs_.erase(blob.text());
}

void MemoryRegistry::Damage(const Digest& blob) {
  std::lock_guard lock(mutex_);
  auto blobs = blobs_.find(blob.text());
  if (blobs != blobs_.end()) blobs->second.assign(blobs->second.size(), '?');
  for (auto& [name, manifest] : manifests_) {
    if (name == blob.text()) manifest.bytes.assign(manifest.bytes.size(), '?');
  }
}

void MemoryRegistry::Refuse(unsigned status) {
  std::lock_guard lock(mutex_);
  refuse_ = status;
}

}  // namespace kiln::oci::testing
