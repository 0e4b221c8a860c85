// Shell words against tests/golden/llb/shell-lex.json.
#include "frontend/dockerfile/shell_word.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace kiln::dockerfile {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

ListEnv EnvOf(const json& values) {
  Texts texts;
  for (const auto& [key, value] : values.items())
    texts.push_back(key + "=" + value.get<std::string>());
  return ListEnv(texts);
}

template <typename Names>
Texts Sorted(const Names& names) {
  const std::set<std::string> sorted(names.begin(), names.end());
  return {sorted.begin(), sorted.end()};
}

TEST(ShellLex, ExpandsAsTheReferenceDoes) {
  const json golden =
      json::parse(std::ifstream(KILN_SOURCE_DIR "/tests/golden/llb/shell-lex.json"));
  const ListEnv env = EnvOf(golden["env"]);
  for (const json& item : golden["cases"]) {
    const ShellLex lex{.escape = item["escape"].get<std::string>()[0],
                       .raw_quotes = item.value("rawQuotes", false),
                       .raw_escapes = item.value("rawEscapes", false),
                       .skip_quotes = item.value("skipQuotes", false),
                       .skip_unset_env = item.value("skipUnset", false)};
    const StatusOr<WordResult> result = lex.Process(item["input"].get<std::string>(), env);
    if (item.contains("wordError")) {
      EXPECT_EQ(result.status().message(), item["wordError"]) << item;
      continue;
    }
    ASSERT_TRUE(result.ok()) << item << result.status();
    EXPECT_EQ(result->word, item["word"]) << item;
    EXPECT_EQ(result->words, item["words"].is_null() ? Texts() : item["words"].get<Texts>())
        << item;
    EXPECT_EQ(Sorted(result->matched), item["matched"].get<Texts>()) << item;
    EXPECT_EQ(Sorted(result->unmatched), item["unmatched"].get<Texts>()) << item;
  }
}

TEST(ShellLex, HostileNestingIsRefusedNotCrashing) {
  std::string word;
  for (int i = 0; i < 100000; ++i) word += "${a:-";
  const StatusOr<WordResult> result = ShellLex().Process(word, ListEnv());
  EXPECT_FALSE(result.ok());
}

TEST(ShellLex, LongWordsTakeLinearTime) {
  const std::string word = "${A}" + std::string(1 << 20, 'x') + "${A}";
  const StatusOr<WordResult> result = ShellLex().Process(word, ListEnv({"A=1"}));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->word.size(), (1u << 20) + 2);
}

}  // namespace
}  // namespace kiln::dockerfile
