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

// In and out by as many bytes as asked for at most.
ReadFn InPieces(std::string_view bytes, size_t piece) {
  return [bytes, piece](std::span<char> out) mutable -> StatusOr<size_t> {
    size_t count = std::min({piece, out.size(), bytes.size()});
    std::copy_n(bytes.begin(), count, out.begin());
    bytes.remove_prefix(count);
    return count;
  };
}
StatusOr<std::string> InflateInPieces(std::string_view packed, Inflater inflater, size_t piece) {
  ReadFn read = Decompress(InPieces(packed, piece), inflater);
  std::string all, buffer(piece, '\0');
  for (;;) {
    ASSIGN_OR_RETURN(size_t count, read(buffer));
    if (count == 0) return all;
    all.append(buffer, 0, count);
  }
}

class EachInflater : public testing::TestWithParam<Inflater> {};
INSTANTIATE_TEST_SUITE_P(All, EachInflater, testing::Values(Inflater::kFastest, Inflater::kZlib));

TEST_P(EachInflater, TakesMembersInPiecesOfAnySize) {
  const std::string first = Sample(70'000), second = std::string(300'000, 'x');
  const std::string packed = Compressed(Compression::kGzip, first, first.size()) +
                             Compressed(Compression::kGzip, "", 1) +
                             Compressed(Compression::kGzip, second, second.size());
  for (size_t piece : {size_t{1}, size_t{7}, size_t{1000}, size_t{1 << 20}}) {
    StatusOr<std::string> all = InflateInPieces(packed, GetParam(), piece);
    ASSERT_TRUE(all.ok()) << piece << ": " << all.status();
    EXPECT_TRUE(*all == first + second) << piece;
  }
}

TEST_P(EachInflater, SeesWhereverItIsCutOff) {
  const std::string packed = Compressed(Compression::kGzip, Sample(2000), 2000);
  for (size_t size = 4; size < packed.size(); ++size) {
    StatusOr<std::string> all = InflateInPieces(packed.substr(0, size), GetParam(), 500);
    EXPECT_EQ(all.status().message(), "unexpected EOF") << size;
  }
}

TEST_P(EachInflater, SeesEachChangedBit) {
  const std::string text = Sample(300);
  const std::string packed = Compressed(Compression::kGzip, text, text.size());
  int unseen = 0;
  for (size_t bit = 8 * 10; bit < 8 * packed.size(); ++bit) {  // after the header
    std::string damaged = packed;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    StatusOr<std::string> all = InflateInPieces(damaged, GetParam(), 100);
    if (all.ok() && *all == text) {
      ++unseen;
    } else {
      EXPECT_EQ(all.status().code(), StatusCode::kDataLoss) << bit;
    }
  }
  EXPECT_LT(unseen, 8);  // bits that fill up the last byte say nothing
}

TEST_P(EachInflater, RefusesWhatFollowsTheLastMember) {
  const std::string packed = Compressed(Compression::kGzip, "text", 4);
  EXPECT_EQ(InflateInPieces(packed + "more than that", GetParam(), 100).status().message(),
            "gzip: invalid data: incorrect header check");
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
