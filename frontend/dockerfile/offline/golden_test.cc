// The golden Dockerfiles through the whole frontend; what counts as equal is said
// in tests/golden/dockerfile/README.md ("strict").
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "frontend/dockerfile/build/dockerfile_frontend.h"
#include "frontend/dockerfile/offline/offline_bridge.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

using Json = nlohmann::json;

constexpr char kGolden[] = KILN_SOURCE_DIR "/tests/golden/dockerfile";
constexpr char kFloor[] = KILN_SOURCE_DIR "/tests/golden/dockerfile-equal.txt";
constexpr char kSourceUrl[] = "github.com/moby/buildkit/errdefs.Source+json";

std::string Read(const std::string& path) {
  StatusOr<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

struct Case {
  std::string name;
  std::string dir;
  Json options;
  Json expected;
  std::string dockerfile;
};

std::string Option(const Case& c, const std::string& key, const std::string& other) {
  return c.options["opts"].value(key, other);
}

FileLookup FilesOf(const Case& c) {
  const std::string filename = Option(c, "filename", "Dockerfile");
  const std::string dockerfile_local = Option(c, "dockerfilekey", "dockerfile");
  return [c, filename, dockerfile_local](const std::string& local,
                                         const std::string& file) -> StatusOr<std::string> {
    const bool source = local.empty() || local == dockerfile_local;
    if (local.empty() && file == "context") {
      if (c.options.value("httpContextIsArchive", false)) return std::string("\x1f\x8b\x08", 3);
      return c.dockerfile;
    }
    if (source && file == filename) return c.dockerfile;
    if (source && file == filename + ".dockerignore" &&
        c.options.contains("dockerfileDockerignore")) {
      return c.options["dockerfileDockerignore"].get<std::string>();
    }
    if (file == ".dockerignore" && local == "context" && c.options.contains("dockerignore")) {
      return c.options["dockerignore"].get<std::string>();
    }
    if (file == ".dockerignore" && c.options.contains("namedContextDockerignore") &&
        c.options["namedContextDockerignore"].contains(local)) {
      return c.options["namedContextDockerignore"][local].get<std::string>();
    }
    return NotFoundError(StrCat("open ", file, ": no such file or directory"));
  };
}

frontend::BuildOpts BuildOptsOf(const Case& c) {
  frontend::BuildOpts opts;
  opts.opts = c.options["opts"].get<frontend::StringMap>();
  opts.session_id = c.options["sessionID"].get<std::string>();
  frontend::WorkerInfo worker;
  worker.id = "worker";
  for (const auto& text : c.options["workerPlatforms"]) {
    worker.platforms.push_back(*ParsePlatform(text.get<std::string>()));
  }
  opts.workers = {worker};
  std::set<std::string> disabled;
  if (c.options.contains("disabledLLBCaps")) {
    disabled = c.options["disabledLLBCaps"].get<std::set<std::string>>();
  }
  opts.supports_llb_cap = [disabled](std::string_view cap) {
    return !disabled.contains(std::string(cap));
  };
  return opts;
}

std::map<std::string, frontend::DefinitionPtr> InputsOf(const Case& c) {
  std::map<std::string, frontend::DefinitionPtr> inputs;
  if (!c.options.contains("inputs")) return inputs;
  for (const auto& [name, image] : c.options["inputs"].items()) {
    const oci::Reference reference = *oci::ParseReference(image.get<std::string>());
    llb::MarshalOptions marshal;
    marshal.platform = Platform{"linux", "amd64", "", "", {}};
    inputs[name] = *llb::Image(oci::WithDefaultTag(reference).Text()).Marshal(marshal);
  }
  return inputs;
}

// Collects what differs; empty means equal.
class Comparison {
 public:
  void Expect(bool equal, const std::string& what) {
    if (!equal) differences_.push_back(what);
  }
  void Same(const std::string& got, const std::string& want, const std::string& what) {
    if (got != want) differences_.push_back(StrCat(what, "\n    got:  ", got, "\n    want: ", want));
  }
  const std::vector<std::string>& differences() const { return differences_; }

 private:
  std::vector<std::string> differences_;
};

Json RangesJson(int first, int first_character, int last, int last_character) {
  return {{"start", {{"line", first}, {"character", first_character}}},
          {"end", {{"line", last}, {"character", last_character}}}};
}

void CompareWarnings(const Case& c, const OfflineBridge& bridge, Comparison* comparison) {
  std::multiset<std::string> got, want;
  for (const frontend::Warning& warning : bridge.warnings()) {
    Json json = {{"level", warning.level}, {"short", warning.short_text}};
    if (!warning.detail.empty()) json["detail"] = warning.detail;
    if (!warning.url.empty()) json["url"] = warning.url;
    for (const auto& range : warning.ranges) {
      json["ranges"].push_back(RangesJson(range.start_line, range.start_character, range.end_line,
                                          range.end_character));
    }
    got.insert(json.dump());
  }
  const Json expected = c.expected.value("warnings", Json::array());
  for (const Json& warning : expected.is_array() ? expected : Json::array()) {
    want.insert(warning.dump());
  }
  comparison->Same(StrJoin(got, "\n"), StrJoin(want, "\n"), "warnings");
}

// Ranges of an errdefs.Source: field 2 of the message.
Json SourceRanges(const std::string& bytes) {
  Json ranges = Json::array();
  size_t at = 0;
  while (at < bytes.size()) {
    const int field = static_cast<unsigned char>(bytes[at++]) >> 3;
    size_t length = 0;
    for (int shift = 0; at < bytes.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      length |= static_cast<size_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) break;
    }
    pb::Range range;
    if (field == 2 && range.ParseFromString(bytes.substr(at, length))) {
      ranges.push_back(RangesJson(range.start().line(), range.start().character(),
                                  range.end().line(), range.end().character()));
    }
    at += length;
  }
  return ranges;
}

void CompareError(const Case& c, const Status& error, Comparison* comparison) {
  if (!c.expected.contains("error")) {
    comparison->Same(error.message(), "", "failed");
    return;
  }
  const Json& expected = c.expected["error"];
  bool known = error.message() == expected["message"].get<std::string>();
  for (const Json& other : expected.value("otherMessagesSeen", Json::array())) {
    known = known || error.message() == other.get<std::string>();
  }
  if (!known) comparison->Same(error.message(), expected["message"], "message");
  // "Unknown" stands for errors that the reference gives a code only on their way out.
  if (expected["code"] != "Unknown") {
    comparison->Same(std::string(StatusCodeName(error.code())), expected["code"], "code");
  }
  Json sources = Json::array();
  for (const StatusDetail& detail : error.details()) {
    if (detail.type_url == kSourceUrl) sources.push_back(SourceRanges(detail.bytes));
  }
  Json want = expected.value("sources", Json::array());
  if (want.is_null()) want = Json::array();
  for (Json& group : want) {
    if (group.is_null()) group = Json::array();
  }
  comparison->Same(sources.dump(), want.dump(), "sources");
}

void CompareRef(const Case& c, const Json& want, const frontend::Result& result,
                Comparison* comparison) {
  const std::string id = want["id"];
  frontend::ReferencePtr ref = result.ref;
  if (!id.empty()) {
    auto found = result.refs.find(id);
    comparison->Expect(found != result.refs.end(), "no ref " + id);
    if (found == result.refs.end()) return;
    ref = found->second;
  }
  const std::string suffix = id.empty() ? "" : "/" + id;
  auto meta = [&](const std::string& key) {
    auto found = result.metadata.find(key + suffix);
    return found == result.metadata.end() ? "" : found->second;
  };
  auto file = [&](const char* key) {
    return want.contains(key) ? Read(StrCat(c.dir, "/expect/", want[key].get<std::string>())) : "";
  };
  comparison->Same(meta("containerimage.config"), file("image"), "image");
  comparison->Same(meta("containerimage.base.config"), file("baseImage"), "base image");
  if (ref == nullptr || ref->definition() == nullptr) return;
  const pb::Definition& definition = *ref->definition();
  comparison->Same(llb::HeadOf(definition), want["head"], "head");
  comparison->Expect(StableDefinition(definition) == file("definition"), "definition bytes");
  const char* dump = std::getenv("KILN_GOLDEN_DUMP");
  if (dump != nullptr && c.name == dump) {
    std::cout << definition.DebugString() << "\n=== want\n";
    pb::Definition expected;
    expected.ParseFromString(file("definition"));
    std::cout << expected.DebugString();
    for (const pb::Definition* side : {&definition, static_cast<const pb::Definition*>(&expected)}) {
      std::cout << "=== ops\n";
      for (const std::string& bytes : side->def()) {
        pb::Op op;
        op.ParseFromString(bytes);
        std::cout << op.ShortDebugString() << "\n";
      }
    }
  }
}

void CompareResult(const Case& c, const frontend::Result& result, Comparison* comparison) {
  if (c.expected.contains("error")) {
    comparison->Expect(false, "did not fail");
    return;
  }
  const Json refs = c.expected.value("refs", Json::array());
  for (const Json& want : refs.is_array() ? refs : Json::array()) {
    CompareRef(c, want, result, comparison);
  }
  const Json metadata = c.expected.value("metadata", Json::object());
  for (const auto& [key, value] : metadata.items()) {
    auto found = result.metadata.find(key);
    comparison->Same(found == result.metadata.end() ? "(none)" : found->second, value,
                     "metadata " + key);
  }
  const Json files = c.expected.value("metadataFiles", Json::array());
  for (const Json& name : files) {
    const std::string key(TrimPrefix(name.get<std::string>(), "meta-"));
    auto found = result.metadata.find(key);
    comparison->Same(found == result.metadata.end() ? "(none)" : found->second,
                     Read(StrCat(c.dir, "/expect/", name.get<std::string>())), "file " + key);
  }
}

std::vector<std::string> RunCase(const Case& c, const ImageCatalog& images) {
  OfflineBridge bridge(BuildOptsOf(c), images, FilesOf(c), InputsOf(c));
  const bool labs = c.options["channel"] == "labs";
  auto frontend = NewFrontend(labs ? Channel::kLabs : Channel::kStable);
  StatusOr<frontend::Result> result = frontend->Solve(bridge, {});
  Comparison comparison;
  if (result.ok()) {
    CompareResult(c, *result, &comparison);
  } else {
    CompareError(c, result.status(), &comparison);
  }
  CompareWarnings(c, bridge, &comparison);
  return comparison.differences();
}

Case LoadCase(const std::string& name) {
  Case c;
  c.name = name;
  c.dir = StrCat(kGolden, "/cases/", name);
  c.options = Json::parse(Read(c.dir + "/opts.json"));
  c.expected = Json::parse(Read(c.dir + "/expect/result.json"));
  c.dockerfile = Read(c.dir + "/Dockerfile");
  return c;
}

// KILN_GOLDEN=name runs only that case and says what differs.
TEST(GoldenDockerfiles, AtLeastAsManyAreEqualAsBefore) {
  const StatusOr<ImageCatalog> images =
      ImageCatalog::FromJson(Read(StrCat(kGolden, "/images.json")));
  ASSERT_TRUE(images.ok()) << images.status();
  StatusOr<std::vector<std::string>> names = ListDir(StrCat(kGolden, "/cases"));
  ASSERT_TRUE(names.ok());
  const char* only = std::getenv("KILN_GOLDEN");
  std::map<std::string, std::pair<int, int>> counts;  // equal, all
  int equal = 0;
  for (const std::string& name : *names) {
    if (only != nullptr && name != only) continue;
    const Case c = LoadCase(name);
    const std::vector<std::string> differences = RunCase(c, *images);
    auto& count = counts[c.options["kind"].get<std::string>()];
    ++count.second;
    if (differences.empty()) {
      ++count.first;
      ++equal;
    } else {
      std::cout << "differs: " << name << ": "
                << (only != nullptr ? StrJoin(differences, "\n  ")
                                    : StrJoin(differences, "; ").substr(0, 400))
                << "\n";
    }
  }
  for (const auto& [kind, count] : counts) {
    std::cout << "golden " << kind << ": " << count.first << " of " << count.second << "\n";
  }
  int64_t floor = 0;
  ASSERT_TRUE(ParseInt64(TrimSpace(Read(kFloor)), &floor));
  std::cout << "golden all: " << equal << " of " << names->size() << ", before: " << floor << "\n";
  if (only != nullptr) return;
  EXPECT_GE(equal, floor);
}

}  // namespace
}  // namespace kiln::dockerfile
