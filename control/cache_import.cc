// A source that becomes one when it is opened. See cache_import.h.
#include "control/cache_import.h"

#include <mutex>
#include <optional>

#include "base/strings.h"
#include "cache/index/memory_key_index.h"
#include "control/vertex.h"

namespace kiln::control {
namespace {

// FNV-1, as Go's hash/fnv.New64.
uint64_t Fnv64(std::string_view bytes) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char byte : bytes) hash = (hash * 1099511628211u) ^ byte;
  return hash;
}

uint64_t HashPair(uint64_t a, uint64_t b) {
  std::string bytes;
  for (uint64_t value : {a, b}) {
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  }
  return Fnv64(bytes);
}

uint64_t HashOne(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return Fnv64(bytes);
}

// The hash that the reference takes of its structure CacheOptionsEntry, so that equal
// imports have equal names on both servers.
uint64_t HashImport(const frontend::CacheImport& import) {
  uint64_t attrs = 0;  // in any order
  for (const auto& [key, value] : import.attrs) attrs ^= HashPair(Fnv64(key), Fnv64(value));
  uint64_t hash = Fnv64("CacheOptionsEntry");
  hash = HashOne(hash ^ HashPair(Fnv64("Type"), Fnv64(import.type)));
  return HashOne(hash ^ HashPair(Fnv64("Attrs"), HashOne(attrs)));
}

class OpenedLater : public CacheImport {
 public:
  OpenedLater(frontend::CacheImport import, worker::CacheBackends* backends,
              std::shared_ptr<ProgressLog> progress)
      : import_(std::move(import)),
        backends_(backends),
        progress_(std::move(progress)),
        name_(CacheImportName(import_)) {}

  const std::string& id() const override { return name_; }
  const std::string& name() const override { return name_; }

  Status Open(const std::vector<std::string>& sessions) override {
    std::lock_guard lock(mutex_);
    if (opened_) return *opened_;
    std::string vertex = "importing cache manifest from " + name_;
    opened_ = RunInVertex(*progress_, vertex, vertex, [&](solver::VertexProgress& progress) {
      return OpenIn(sessions, progress);
    });
    progress_.reset();
    return *opened_;
  }

  cache::KeyIndex& keys() override {
    return source_ == nullptr ? static_cast<cache::KeyIndex&>(none_) : source_->keys();
  }
  StatusOr<std::vector<Loaded>> Load(std::string_view result_id,
                                     solver::JobContext& context) override {
    if (source_ == nullptr) return NotFoundError("not found");
    return source_->Load(result_id, context);
  }
  void AddSeen(worker::SeenBlobs* seen) override {
    // Nobody waits here for a source that is slow.
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock || source_ == nullptr || source_->place().empty()) return;
    (*seen)[source_->place()].insert(source_->listed().begin(), source_->listed().end());
  }

 private:
  Status OpenIn(const std::vector<std::string>& sessions, solver::VertexProgress& progress) {
    if (backends_ == nullptr) {
      return UnknownError(StrCat("unknown cache importer: ", import_.type));
    }
    auto opened = backends_->Import(import_.type, import_.attrs, sessions, &progress);
    if (!opened.ok()) return opened.status();
    source_ = *std::move(opened);
    return OkStatus();
  }

  const frontend::CacheImport import_;
  worker::CacheBackends* const backends_;
  std::shared_ptr<ProgressLog> progress_;
  const std::string name_;
  std::mutex mutex_;  // guards opening; afterwards all is read-only
  std::optional<Status> opened_;
  std::shared_ptr<worker::ImportedCache> source_;
  cache::MemoryKeyIndex none_;
};

}  // namespace

std::string CacheImportName(const frontend::CacheImport& import) {
  auto ref = import.attrs.find("ref");
  if (import.type == "registry" && ref != import.attrs.end() && !ref->second.empty()) {
    return ref->second;
  }
  return StrCat(import.type, ":", HashImport(import));
}

std::shared_ptr<CacheImport> NewCacheImport(frontend::CacheImport import,
                                            worker::CacheBackends* backends,
                                            std::shared_ptr<ProgressLog> progress) {
  return std::make_shared<OpenedLater>(std::move(import), backends, std::move(progress));
}

}  // namespace kiln::control
