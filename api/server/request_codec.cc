// Old clients' fields become the new ones, then everything is made plain.

#include "api/proto/control.pb.h"
#include "api/server/request_codec.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace wire = moby::buildkit::v1;

constexpr int kCurrentCompatibility = 30;

void TranslateOldFields(wire::SolveRequest* request) {
  wire::CacheOptions* cache = request->mutable_cache();
  if (!cache->exportrefdeprecated().empty()) {
    wire::CacheOptionsEntry* entry = cache->add_exports();
    entry->set_type("registry");
    *entry->mutable_attrs() = cache->exportattrsdeprecated();
    (*entry->mutable_attrs())["ref"] = cache->exportrefdeprecated();
  }
  for (const std::string& ref : cache->importrefsdeprecated()) {
    wire::CacheOptionsEntry* entry = cache->add_imports();
    entry->set_type("registry");
    (*entry->mutable_attrs())["ref"] = ref;
  }
  if (request->exporters_size() == 0 && !request->exporterdeprecated().empty()) {
    wire::Exporter* exporter = request->add_exporters();
    exporter->set_type(request->exporterdeprecated());
    *exporter->mutable_attrs() = request->exporterattrsdeprecated();
  }
}

// One entry per cache; a second inline one says nothing new.
Status AddExports(const wire::CacheOptions& cache, control::BuildRequest* out) {
  std::vector<std::string> seen;
  bool has_inline = false;
  std::vector<std::string> duplicates;
  for (const wire::CacheOptionsEntry& entry : cache.exports()) {
    if (entry.type() == "inline" && has_inline) continue;
    has_inline = has_inline || entry.type() == "inline";
    frontend::StringMap attrs = ToStringMap(entry.attrs());
    std::string key = entry.type();
    if (entry.type() == "registry" && attrs.contains("ref")) {
      key = attrs["ref"];
    } else {
      for (const auto& [name, value] : attrs) key += StrCat(",", name, "=", value);
    }
    bool known = std::find(seen.begin(), seen.end(), key) != seen.end();
    if (known && std::find(duplicates.begin(), duplicates.end(), entry.type()) == duplicates.end()) {
      duplicates.push_back(entry.type());
    }
    seen.push_back(key);
    out->cache_exports.push_back({entry.type(), std::move(attrs)});
  }
  if (duplicates.empty()) return OkStatus();
  return UnknownError(StrCat("duplicate cache exports [", StrJoin(duplicates, " "), "]"));
}

}  // namespace

frontend::StringMap ToStringMap(const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

namespace {

// A gateway frontend named like the built-in one is that one, unless a named context
// says what stands behind the name.
void NameBuiltIn(control::BuildRequest* request) {
  constexpr std::string_view kName = "dockerfile.v0", kContext = "context:dockerfile.v0";
  auto source = request->frontend_opts.find("source");
  if (request->frontend != "gateway.v0" || source == request->frontend_opts.end() ||
      source->second != kName) {
    return;
  }
  for (const auto& [key, value] : request->frontend_opts) {
    if (key == kContext || key.starts_with(StrCat(kContext, "::"))) return;
  }
  request->frontend = kName;
  request->frontend_opts.erase(source);
}

}  // namespace

StatusOr<control::BuildRequest> ParseSolveRequest(wire::SolveRequest request) {
  TranslateOldFields(&request);
  control::BuildRequest out;
  out.id = request.ref();
  out.session = request.session();
  if (request.has_definition()) {
    out.definition = std::make_shared<pb::Definition>(std::move(*request.mutable_definition()));
  }
  out.frontend = request.frontend();
  out.frontend_opts = ToStringMap(request.frontendattrs());
  NameBuiltIn(&out);
  for (auto& [name, definition] : *request.mutable_frontendinputs()) {
    out.frontend_inputs[name] = std::make_shared<pb::Definition>(std::move(definition));
  }
  for (const wire::Exporter& exporter : request.exporters()) {
    out.outputs.push_back({exporter.type(), ToStringMap(exporter.attrs())});
  }
  out.session_exporter = request.enablesessionexporter();
  RETURN_IF_ERROR(AddExports(request.cache(), &out));
  for (const wire::CacheOptionsEntry& entry : request.cache().imports()) {
    out.cache_imports.push_back({entry.type(), ToStringMap(entry.attrs())});
  }
  out.entitlements.assign(request.entitlements().begin(), request.entitlements().end());
  if (request.has_sourcepolicy()) out.source_policy = request.sourcepolicy().SerializeAsString();
  out.source_policy_session = request.sourcepolicysession();
  out.compatibility_version = static_cast<int>(request.compatibilityversion());
  if (out.compatibility_version == 0) out.compatibility_version = kCurrentCompatibility;
  out.internal = request.internal();
  out.proxy_network = request.proxynetwork();
  return out;
}

}  // namespace kiln::api
