// dockerfile2llb --json against tests/dockerfile2llb/reference.jsonl.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "cmd/dockerfile2llb/compile.h"

namespace kiln::dockerfile2llb {
namespace {

using nlohmann::json;

constexpr char kReference[] = KILN_SOURCE_DIR "/tests/dockerfile2llb/reference.jsonl";

Settings SettingsOf(const json& item) {
  Settings settings;
  settings.session = "s";
  settings.images = dockerfile::ImageCatalog::Any();
  for (const json& opt : item["opts"]) {
    const std::string text = opt.get<std::string>();
    settings.opts[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  for (const json& platform : item["workerPlatforms"]) {
    settings.worker_platforms.push_back(
        NormalizePlatform(*ParsePlatform(platform.get<std::string>())));
  }
  return settings;
}

class Dockerfile2Llb : public testing::Test {
 protected:
  void SetUp() override {
    std::string dir = (std::filesystem::temp_directory_path() / "d2l-XXXXXX").string();
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    dir_ = dir;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& text) {
    const std::string file = dir_ + "/file";
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }
  std::string dir_;
};

TEST_F(Dockerfile2Llb, GivesWhatTheReferenceGives) {
  std::ifstream lines(kReference);
  int equal = 0, all = 0;
  for (std::string line; std::getline(lines, line); ++all) {
    const json item = json::parse(line);
    const std::string file = Write(item["dockerfile"].get<std::string>());

    json got = json::parse(JsonLine("f", Compile(file, SettingsOf(item))));

    EXPECT_EQ(got["file"], "f");
    got.erase("file");
    EXPECT_EQ(got, item["expect"]) << item["opts"] << "\n"
                                   << item["dockerfile"].get<std::string>();
    if (got == item["expect"]) ++equal;
  }
  std::cout << "dockerfile2llb: " << equal << " of " << all << "\n";
  EXPECT_GE(all, 450);
}

TEST_F(Dockerfile2Llb, TheFileIsCalledAsTheAttributeSays) {
  const std::string file = Write("FROM scratch\nCOPY a b\n");
  const json plain = {{"opts", json::array()}, {"workerPlatforms", {"linux/amd64"}}};
  json named = plain;
  named["opts"] = {"filename=sub/Other.Dockerfile"};

  const json first = json::parse(JsonLine("f", Compile(file, SettingsOf(plain))));
  const json second = json::parse(JsonLine("f", Compile(file, SettingsOf(named))));

  EXPECT_EQ(first["head"], second["head"]);
  EXPECT_NE(first["definitionSHA256"], second["definitionSHA256"]);
}

TEST_F(Dockerfile2Llb, AMissingFileIsAnErrorWithTwoFields) {
  const json plain = {{"opts", json::array()}, {"workerPlatforms", {"linux/amd64"}}};

  const json line = json::parse(JsonLine("gone", Compile(dir_ + "/gone", SettingsOf(plain))));

  EXPECT_EQ(line.size(), 2u);
  EXPECT_TRUE(line.contains("file") && line.contains("error"));
}

}  // namespace
}  // namespace kiln::dockerfile2llb
