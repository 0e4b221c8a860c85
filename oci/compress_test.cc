#include "oci/compress.h"

#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

std::string Sample(size_t size) {
  std::string text;
  for (uint32_t x = 1; text.size() < size; x = x * 1664525 + 1013904223) {
    text += std::to_string(x >> 20);
  }
  text.resize(size);
  return text;
}

std::string Compressed(Compression type, std::string_view text, size_t step) {
  std::string out;
  auto compressor = NewCompressor(type, std::nullopt, AppendTo(out));
  for (size_t at = 0; at < text.size(); at += step) {
    EXPECT_TRUE(compressor->Write(text.substr(at, step)).ok());
  }
  EXPECT_TRUE(compressor->Finish().ok());
  return out;
}

class EachCompression : public testing::TestWithParam<Compression> {};

TEST_P(EachCompression, ComesBackWhole) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{1 << 20}, size_t{5'000'001}}) {
    std::string text = Sample(size);
    std::string packed = Compressed(GetParam(), text, 70'000);
    StatusOr<std::string> back = ReadAll(Decompress(ReadFrom(packed)), text.size() + 1);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(*back == text) << size;
  }
}

TEST_P(EachCompression, DoesNotDependOnHowItIsFed) {
  std::string text = Sample(3'500'000);
  EXPECT_TRUE(Compressed(GetParam(), text, 1000) == Compressed(GetParam(), text, text.size()));
}

INSTANTIATE_TEST_SUITE_P(All, EachCompression,
                         testing::Values(Compression::kUncompressed, Compression::kGzip,
                                         Compression::kZstd));

TEST(Decompress, SaysWhenTheStreamIsCutOffOrDamaged) {
  for (Compression type : {Compression::kGzip, Compression::kZstd}) {
    std::string packed = Compressed(type, Sample(300'000), 1 << 20);
    std::string cut = packed.substr(0, packed.size() / 2);
    EXPECT_EQ(ReadAll(Decompress(ReadFrom(cut)), 1 << 20).status().message(), "unexpected EOF");
    std::string damaged = packed;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
    EXPECT_EQ(ReadAll(Decompress(ReadFrom(damaged)), 1 << 20).status().code(),
              StatusCode::kDataLoss);
  }
}

TEST(ReadAhead, PassesBytesAndErrorsOn) {
  std::string text = Sample(1'000'000);
  EXPECT_TRUE(ReadAll(ReadAhead(ReadFrom(text), 1000, 3), 2'000'000).value_or("") == text);
  ReadFn failing = ReadAhead([](std::span<char>) -> StatusOr<size_t> {
    return DataLossError("broken");
  });
  EXPECT_EQ(ReadAll(failing, 10).status().message(), "broken");
}

TEST(ReadAhead, MayBeDroppedEarly) {
  std::string text = Sample(1'000'000);
  ReadFn reader = ReadAhead(ReadFrom(text), 1000, 2);
  char buffer[10];
  EXPECT_EQ(reader(std::span<char>(buffer)).value_or(0), 10u);
}

TEST(MediaTypes, ConvertBothWays) {
  EXPECT_EQ(ConvertLayerMediaType(kDockerLayerGzip, true), kOciLayerGzip);
  EXPECT_EQ(ConvertLayerMediaType(kOciLayerZstd, false), kDockerLayerZstd);
  EXPECT_EQ(ConvertLayerMediaType("x/y", true), "x/y");
  EXPECT_EQ(CompressionOf(kOciLayer), Compression::kUncompressed);
}

}  // namespace
}  // namespace kiln::oci
