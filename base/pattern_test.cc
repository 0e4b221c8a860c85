// Patterns, ignore files and filtered walks against tests/golden/llb/patterns.json.
#include "base/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/glob.h"

namespace kiln {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

json Golden(const std::string& name) {
  return json::parse(std::ifstream(KILN_SOURCE_DIR "/tests/golden/llb/" + name));
}

Texts List(const json& value, const char* key) {
  const auto found = value.find(key);
  return found == value.end() || found->is_null() ? Texts() : found->get<Texts>();
}

TEST(Pattern, IgnoreFilesReadAsTheReferenceReadsThem) {
  const json items = Golden("patterns.json")["ignoreFiles"];
  for (const json& item : items) {
    EXPECT_EQ(ReadIgnoreFile(item["text"].get<std::string>()), List(item, "patterns")) << item;
  }
}

TEST(Pattern, MatchesThePathsThatTheReferenceMatches) {
  const json golden = Golden("patterns.json");
  for (const json& item : golden["matching"]) {
    const StatusOr<PatternList> list = PatternList::Compile(List(item, "patterns"));
    if (item.contains("error")) {
      EXPECT_EQ(list.status().message(), item["error"]) << item;
      continue;
    }
    ASSERT_TRUE(list.ok()) << item << list.status();
    EXPECT_EQ(list->has_exclusions(), item["hasExclusions"]) << item;
    Texts with_parents;
    Texts older;
    const Texts paths = List(item, "paths").empty() ? List(golden, "paths") : List(item, "paths");
    for (const std::string& path : paths) {
      if (list->MatchesOrParentMatches(path)) with_parents.push_back(path);
      if (list->Matches(path)) older.push_back(path);
      std::vector<bool> own;
      EXPECT_EQ(list->MatchesUsingParent(path, {}, &own), list->MatchesOrParentMatches(path));
    }
    EXPECT_EQ(with_parents, List(item, "matchesOrParentMatches")) << item["patterns"];
    EXPECT_EQ(older, List(item, "matches")) << item["patterns"];
  }
}

// A tree of contenthash.json: path → type, and links' texts.
class FakeTree : public LinkTree {
 public:
  explicit FakeTree(const std::string& name) {
    const json golden = Golden("contenthash.json");
    for (const json& tree : golden["trees"]) {
      if (tree["name"] != name || tree["entries"].is_null()) continue;
      for (const json& entry : tree["entries"]) {
        const std::string path = CleanPath(entry["path"].get<std::string>()).substr(0);
        const std::string type = entry["type"];
        types_[path[0] == '/' ? path.substr(1) : path] = type;
        if (type == "symlink") links_[path[0] == '/' ? path.substr(1) : path] = entry["link"];
      }
    }
  }
  StatusOr<std::string> ReadLink(const std::string& path) const override {
    const auto found = links_.find(path);
    return found == links_.end() ? "" : found->second;
  }
  StatusOr<Texts> List(const std::string& path) const override {
    Texts names;
    for (const auto& [name, type] : types_) {
      if (DirName(name) == path) names.push_back(BaseName(name));
    }
    return names;
  }
  // Paths in the order of a walk: siblings sorted, children behind their directory.
  Texts Kept(PatternWalk* walk) const {
    Texts kept;
    Walk(".", walk, &kept);
    std::sort(kept.begin(), kept.end());
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    return kept;
  }

 private:
  void Walk(const std::string& directory, PatternWalk* walk, Texts* kept) const {
    for (const auto& [path, type] : types_) {
      if (DirName(path) != directory) continue;
      const bool is_directory = type == "dir";
      const auto verdict = walk->Visit(path, is_directory);
      if (verdict == PatternWalk::Verdict::kKeep) {
        kept->push_back(path + (is_directory ? "/" : ""));
        for (std::string parent = DirName(path); parent != "."; parent = DirName(parent)) {
          kept->push_back(parent + "/");
        }
      }
      if (is_directory && verdict != PatternWalk::Verdict::kSkipAll) Walk(path, walk, kept);
    }
  }
  std::map<std::string, std::string> types_;
  std::map<std::string, std::string> links_;
};

TEST(PatternWalk, KeepsWhatTheReferenceKeeps) {
  const json items = Golden("patterns.json")["walks"];
  for (const json& item : items) {
    const FakeTree tree(item["tree"]);
    const auto include = FollowedIncludes(tree, List(item, "include"), List(item, "followPaths"));
    ASSERT_TRUE(include.ok()) << item;
    StatusOr<PatternWalk> walk = PatternWalk::Make(*include, List(item, "exclude"));
    ASSERT_TRUE(walk.ok()) << item << walk.status();
    Texts want = List(item, "kept");
    std::sort(want.begin(), want.end());
    EXPECT_EQ(tree.Kept(&*walk), want) << item;
  }
}

TEST(PatternWalk, NamesTheListThatIsWrong) {
  EXPECT_EQ(PatternWalk::Make({"a["}, {}).status().message(),
            "invalid includepatterns: [a[]: syntax error in pattern");
  EXPECT_EQ(PatternWalk::Make({}, {"b", "!"}).status().message(),
            "invalid excludepatterns: [b !]: illegal exclusion pattern: \"!\"");
}

TEST(Glob, PatternsFollowGo) {
  EXPECT_TRUE(*GlobMatch("a*c", "abbc"));
  EXPECT_FALSE(*GlobMatch("a*", "a/b"));
  EXPECT_TRUE(*GlobMatch("[^a-c]\\*?", "x*\xC3\xA9"));
  EXPECT_FALSE(*GlobMatch("a*c*[", "b"));  // the fault lies behind the mismatch
  EXPECT_FALSE(GlobMatch("[a", "a").ok());
  EXPECT_FALSE(GlobMatch("a\\", "a").ok());
}

}  // namespace
}  // namespace kiln
