#include "oci/compress.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

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
    back = ReadAll(DecompressWhole(ReadFrom(packed), packed.size()), text.size() + 1);
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
    for (const std::string& bad : {cut, damaged}) {
      EXPECT_EQ(ReadAll(DecompressWhole(ReadFrom(bad), bad.size()), 1 << 20).status().message(),
                ReadAll(Decompress(ReadFrom(bad)), 1 << 20).status().message());
    }
    // The peer sends less, or more, than it said.
    EXPECT_EQ(ReadAll(DecompressWhole(ReadFrom(cut), packed.size()), 1 << 20).status().message(),
              "unexpected EOF");
  }
}

// One member, as gzip(1) makes it.
std::string OneMember(std::string_view text) {
  std::string out(text.size() + (1 << 16), '\0');
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

TEST(DecompressWhole, TakesMembersOfAnyLength) {
  std::string text = Sample(9'000'000);
  std::string small = Sample(10);
  // The last length is no measure for those before it.
  for (const std::string& packed :
       {OneMember(text), OneMember(text) + OneMember(small), OneMember(small) + OneMember(text),
        OneMember(small) + OneMember("") + OneMember(small)}) {
    std::string expected = ReadAll(Decompress(ReadFrom(packed)), 20 << 20).value_or("none");
    EXPECT_TRUE(ReadAll(DecompressWhole(ReadFrom(packed), packed.size()), 20 << 20)
                    .value_or("") == expected);
  }
  std::string garbage = OneMember(text) + "garbage";
  EXPECT_EQ(ReadAll(DecompressWhole(ReadFrom(garbage), garbage.size()), 20 << 20).status().message(),
            ReadAll(Decompress(ReadFrom(garbage)), 20 << 20).status().message());
}

TEST(DecompressWhole, DoesNotWaitForSlowInput) {
  std::string text = Sample(3'000'000);
  std::string packed = OneMember(text);
  size_t given = 0;
  bool asked_for_all = false;
  ReadFn slow = [&](std::span<char> out) -> StatusOr<size_t> {
    asked_for_all = given == packed.size();
    if (given > 0) std::this_thread::sleep_for(std::chrono::milliseconds(400));
    size_t count = std::min({out.size(), packed.size() - given, packed.size() / 3 + 1});
    std::memcpy(out.data(), packed.data() + given, count);
    given += count;
    return count;
  };
  ReadFn reader = DecompressWhole(slow, packed.size());
  std::string buffer(1000, '\0');
  size_t first = reader(buffer).value_or(0);
  EXPECT_GT(first, 0u);
  EXPECT_FALSE(asked_for_all);
  EXPECT_LT(given, packed.size());
  std::string rest = ReadAll(reader, 4 << 20).value_or("");
  EXPECT_TRUE(buffer.substr(0, first) + rest == text);
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
