#include "oci/estargz.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

struct Packed {
  std::string tar, blob;
  std::map<std::string, std::string> notes;
  Digest whole;
};

Packed Pack(size_t file_bytes, size_t step) {
  Packed packed;
  TarWriter tar(AppendTo(packed.tar));
  TarHeader folder;
  folder.type = '5';
  folder.name = "d/";
  folder.mode = 0755;
  TarHeader file;
  file.name = StrCat("d/", std::string(150, 'n'));  // needs a second header
  file.size = static_cast<int64_t>(file_bytes);
  file.mtime = {1700000000, 0};
  EXPECT_TRUE(tar.WriteHeader(folder).ok());
  EXPECT_TRUE(tar.WriteHeader(file).ok());
  EXPECT_TRUE(tar.Write(std::string(file_bytes, 'x')).ok());
  EXPECT_TRUE(tar.Close().ok());
  auto compressor = NewEstargzCompressor(std::nullopt, AppendTo(packed.blob));
  for (size_t at = 0; at < packed.tar.size(); at += step) {
    EXPECT_TRUE(compressor->Write(std::string_view(packed.tar).substr(at, step)).ok());
  }
  EXPECT_TRUE(compressor->Finish().ok());
  packed.notes = compressor->Notes();
  packed.whole = *compressor->WholeDigest();
  return packed;
}

std::string Unpacked(std::string_view blob) {
  return *ReadAll(Decompress(ReadFrom(blob)), 64 << 20);
}

uint64_t TocOffset(const Packed& packed) {
  std::string_view blob = packed.blob;
  return *EstargzTocOffset(blob.substr(blob.size() - kEstargzFooterBytes));
}

TEST(Estargz, IsTheArchiveAndATableAfterIt) {
  Packed packed = Pack(1000, 333);
  EXPECT_EQ(Unpacked(packed.blob.substr(0, TocOffset(packed))), packed.tar);
  std::string all = Unpacked(packed.blob);
  EXPECT_EQ(Digest::Of(all), packed.whole);
  EXPECT_EQ(StrCat(all.size()), packed.notes.at(std::string(kTocSizeNote)));

  std::string table = all.substr(packed.tar.size());
  TarReader reader(ReadFrom(table));
  auto header = reader.Next();
  ASSERT_TRUE(header.ok() && *header);
  EXPECT_EQ((*header)->name, "stargz.index.json");
  std::string json(reader.ReadChunk()->data);
  EXPECT_EQ(Digest::Of(json).text(), packed.notes.at(std::string(kTocDigestNote)));
  EXPECT_TRUE(json.starts_with("{\n\t\"version\": 1,\n\t\"entries\": [\n\t\t{\n\t\t\t\"name\": \"d/\""));
  EXPECT_TRUE(Contains(json, "\"modtime\": \"2023-11-14T22:13:20Z\""));
}

TEST(Estargz, DoesNotDependOnHowItIsFed) {
  EXPECT_EQ(Pack(700, 1).blob, Pack(700, 1 << 20).blob);
}

TEST(Estargz, StartsAMemberForEveryChunkOfAFile) {
  Packed packed = Pack(5 << 20, 100'000);
  std::string all = Unpacked(packed.blob);
  size_t second = all.find("\"type\": \"chunk\"");
  ASSERT_NE(second, std::string::npos);
  constexpr std::string_view kOffset = "\"offset\": ";
  uint64_t offset = std::stoull(all.substr(all.find(kOffset, second) + kOffset.size()));
  std::string rest = Unpacked(packed.blob.substr(offset, TocOffset(packed) - offset));
  EXPECT_TRUE(rest.starts_with(std::string(1 << 20, 'x')));
  EXPECT_TRUE(Contains(all, "\"chunkSize\": 4194304"));
  EXPECT_TRUE(Contains(all, "\"chunkOffset\": 4194304"));
}

TEST(Estargz, RefusesASecondTable) {
  std::string tar, out;
  TarWriter writer(AppendTo(tar));
  TarHeader header;
  header.name = "./stargz.index.json";
  ASSERT_TRUE(writer.WriteHeader(header).ok());
  EXPECT_FALSE(NewEstargzCompressor(std::nullopt, AppendTo(out))->Write(tar).ok());
}

TEST(Estargz, OtherBytesAreNoFooter) {
  EXPECT_FALSE(EstargzTocOffset(std::string(kEstargzFooterBytes, '\0')));
  EXPECT_FALSE(EstargzTocOffset("short"));
}

}  // namespace
}  // namespace kiln::oci
