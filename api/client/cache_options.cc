// See cache_options.h.
#include "api/client/cache_options.h"

#include <nlohmann/json.hpp>
#include <set>

#include "api/client/layout_index.h"
#include "api/client/layout_store.h"
#include "base/file.h"

namespace kiln::api {
namespace {

using nlohmann::json;

std::string Attr(const CacheEntry& entry, const std::string& key) {
  auto found = entry.attrs.find(key);
  return found == entry.attrs.end() ? "" : found->second;
}

Status PlanLocalExport(const CacheEntry& entry, CachePlan& plan) {
  std::string dir = Attr(entry, "dest");
  if (dir.empty()) return UnknownError("local cache exporter requires dest");
  RETURN_IF_ERROR(MakeDirs(dir));
  plan.stores["local:" + dir] = dir;
  plan.tags[dir] = entry.attrs.contains("tag") ? Attr(entry, "tag") : "latest";
  if (!entry.attrs.contains("reset")) return OkStatus();
  bool reset = false;
  std::string text = Attr(entry, "reset");
  if (!ParseBool(text, &reset)) {
    return UnknownError(StrCat("failed to parse reset attribute: strconv.ParseBool: parsing ",
                               Quote(text), ": invalid syntax"));
  }
  if (reset) plan.reset.push_back(dir);
  return OkStatus();
}

// False: leave it out.
StatusOr<bool> PlanLocalImport(CacheEntry& entry, CachePlan& plan) {
  std::string dir = Attr(entry, "src");
  if (dir.empty()) return UnknownError("local cache importer requires src");
  std::string digest = Attr(entry, "digest");
  std::string skipped = StrCat("local cache import at ", dir, " skipped");
  if (digest.empty()) {
    std::string tag = entry.attrs.contains("tag") ? Attr(entry, "tag") : "latest";
    if (tag.empty()) {
      return UnknownError(
          "local cache importer requires either explicit digest, \"latest\" tag or custom tag on "
          "index.json");
    }
    MakeDirs(dir + "/ingest").IgnoreError();  // as opening a store does in the reference
    StatusOr<std::optional<LayoutEntry>> found = LayoutIndex(dir).Get(tag);
    if (!found.ok()) {
      plan.warnings.push_back(StrCat(skipped, " due to err: ", found.status().message()));
      return false;
    }
    if (!found->has_value()) {
      plan.warnings.push_back(StrCat(skipped, ": no digest found for tag ", tag));
      return false;
    }
    digest = (*found)->digest;
    entry.attrs["digest"] = digest;
  }
  StatusOr<LayoutBlob> blob = LayoutStore(dir).Stat(Digest::Trusted(digest));
  if (!blob.ok()) {
    plan.warnings.push_back(
        StrCat(skipped, ": digest ", digest, " unavailable: ", blob.status().message()));
    return false;
  }
  plan.stores["local:" + dir] = dir;
  return true;
}

// Adds what a manifest or index names, as far as it is there.
void Reach(const LayoutStore& store, const std::string& digest, std::set<std::string>& seen) {
  if (!seen.insert(digest).second) return;
  StatusOr<LayoutBlob> blob = store.Stat(Digest::Trusted(digest));
  if (!blob.ok() || blob->size > (16 << 20)) return;
  StatusOr<std::string> text = store.ReadAll(Digest::Trusted(digest));
  json document = text.ok() ? json::parse(*text, nullptr, false) : json();
  if (!document.is_object()) return;
  auto visit = [&](const json& descriptor) {
    if (descriptor.is_object() && descriptor.contains("digest") &&
        descriptor["digest"].is_string()) {
      Reach(store, descriptor["digest"].get<std::string>(), seen);
    }
  };
  if (document.contains("config")) visit(document["config"]);
  for (const char* list : {"manifests", "layers"}) {
    if (!document.contains(list) || !document[list].is_array()) continue;
    for (const json& descriptor : document[list]) visit(descriptor);
  }
}

}  // namespace

StatusOr<CachePlan> PlanCache(const std::vector<CacheEntry>& exports,
                              const std::vector<CacheEntry>& imports) {
  CachePlan plan;
  for (const CacheEntry& entry : exports) {
    if (entry.type == "local") RETURN_IF_ERROR(PlanLocalExport(entry, plan));
    if (entry.type == "registry" && Attr(entry, "ref").empty()) {
      return UnknownError("registry cache exporter requires ref");
    }
    plan.exports.push_back(entry);
  }
  for (CacheEntry entry : imports) {
    if (entry.type == "local") {
      ASSIGN_OR_RETURN(bool use, PlanLocalImport(entry, plan));
      if (!use) continue;
    }
    if (entry.type == "registry" && Attr(entry, "ref").empty()) {
      return UnknownError("registry cache importer requires ref");
    }
    plan.imports.push_back(std::move(entry));
  }
  return plan;
}

std::string CacheImportsJson(const std::vector<CacheEntry>& imports) {
  json list = json::array();
  for (const CacheEntry& entry : imports) {
    list.push_back({{"Type", entry.type}, {"Attrs", entry.attrs}});
  }
  return list.dump();
}

Status ResetCacheFolder(const std::string& dir) {
  ASSIGN_OR_RETURN(std::vector<LayoutEntry> entries, LayoutIndex(dir).Read());
  LayoutStore store(dir);
  std::set<std::string> reached;
  for (const LayoutEntry& entry : entries) Reach(store, entry.digest, reached);
  std::vector<Digest> gone;
  RETURN_IF_ERROR(store.Each([&](const Digest& digest) {
    if (!reached.contains(digest.text())) gone.push_back(digest);
    return OkStatus();
  }));
  for (const Digest& digest : gone) RETURN_IF_ERROR(store.Remove(digest));
  return OkStatus();
}

}  // namespace kiln::api
