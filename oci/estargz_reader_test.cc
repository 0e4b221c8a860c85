#include "oci/estargz_reader.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <vector>

#include "base/strings.h"
#include "oci/estargz.h"
#include "oci/tar.h"
#include "oci/testing/packed_layer.h"

namespace kiln::oci {
namespace {

using testing::Noise;
using testing::TarEntry;
using Kind = EstargzNode::Kind;

struct Blob {
  std::string bytes;
  Digest toc;
  uint64_t read = 0;  // so far
  ReadRangeFn Reader() {
    return [this](uint64_t offset, uint64_t length) -> StatusOr<std::string> {
      read += length;
      return bytes.substr(offset, length);
    };
  }
};

Blob BlobOf(const testing::PackedEntries& entries) {
  auto [bytes, notes] = testing::Pack(entries);
  Blob blob;
  blob.bytes = std::move(bytes);
  blob.toc = Digest::Trusted(notes.at(std::string(kTocDigestNote)));
  return blob;
}

uint32_t Walk(const EstargzTree& tree, std::string_view path) {
  uint32_t at = 0;
  for (std::string_view part : StrSplit(path, '/')) at = tree.Find(at, part);
  return at;
}

StatusOr<std::string> FileOf(const EstargzTree& tree, std::string_view path, Blob& blob) {
  const EstargzNode& node = tree.nodes()[Walk(tree, path)];
  std::string all(node.size, '?');
  for (uint32_t i = 0; i < node.chunk_count; ++i) {
    const uint32_t wanted = node.first_chunk + i;
    const EstargzStream& stream = tree.streams()[tree.chunks()[wanted].stream];
    RETURN_IF_ERROR(ReadEstargzStream(
        tree, tree.chunks()[wanted].stream,
        blob.bytes.substr(stream.offset, stream.end - stream.offset),
        [&](uint32_t chunk, std::string_view data) {
          if (chunk == wanted) all.replace(tree.chunks()[chunk].file_offset, data.size(), data);
          return OkStatus();
        }));
  }
  return all;
}

TEST(EstargzReader, GivesTheFilesOfOurOwnArchives) {
  TarHeader special = TarEntry('0', "usr/bin/tool");
  special.mode = 04755;
  special.uid = 7;
  special.gid = 8;
  special.mtime = {1700000000, 0};
  special.pax["SCHILY.xattr.security.capability"] = std::string("\1\0\2", 3);
  TarHeader device = TarEntry('3', "dev/tty");
  device.dev_major = 5;
  const std::string large = Noise((9 << 20) + 17);
  Blob blob = BlobOf({{TarEntry('5', "usr/"), ""},
                      {TarEntry('5', "usr/bin/"), ""},
                      {special, "small"},
                      {TarEntry('0', "large"), large},
                      {TarEntry('1', "usr/again", "usr/bin/tool"), ""},
                      {TarEntry('2', "sh", "/usr/bin/tool"), ""},
                      {TarEntry('0', "empty"), ""},
                      {TarEntry('5', "dev/"), ""},
                      {device, ""}});
  auto tree = ReadEstargzTree(blob.Reader(), blob.bytes.size(), blob.toc);
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_LT(blob.read, 64u << 10);
  const EstargzNode& tool = tree->nodes()[Walk(*tree, "usr/bin/tool")];
  EXPECT_EQ(Walk(*tree, "usr/again"), Walk(*tree, "usr/bin/tool"));
  EXPECT_EQ(tool.links, 2u);
  EXPECT_EQ(tool.mode, 04755u);
  EXPECT_EQ(tool.uid, 7u);
  EXPECT_EQ(tool.gid, 8u);
  EXPECT_EQ(tool.mtime, 1700000000);
  ASSERT_EQ(tool.xattrs.size(), 1u);
  EXPECT_EQ(tool.xattrs[0].second, std::string("\1\0\2", 3));
  EXPECT_EQ(tree->nodes()[Walk(*tree, "sh")].target, "/usr/bin/tool");
  EXPECT_EQ(tree->nodes()[Walk(*tree, "dev/tty")].dev_major, 5u);
  EXPECT_EQ(tree->nodes()[Walk(*tree, "empty")].kind, Kind::kFile);
  EXPECT_EQ(tree->nodes()[Walk(*tree, "large")].chunk_count, 3u);
  EXPECT_EQ(FileOf(*tree, "usr/bin/tool", blob).value_or(""), "small");
  EXPECT_TRUE(FileOf(*tree, "large", blob).value_or("") == large);
  EXPECT_FALSE(tree->has_whiteouts());
  EXPECT_FALSE(tree->has_implied_folders());
}

TEST(EstargzReader, ReadsATableThatIsLargerThanTheFirstRead) {
  std::vector<std::pair<TarHeader, std::string>> entries;
  for (int i = 0; i < 3000; ++i) entries.emplace_back(TarEntry('0', StrCat("file", i)), StrCat(i));
  Blob blob = BlobOf(entries);
  auto tree = ReadEstargzTree(blob.Reader(), blob.bytes.size(), blob.toc);
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ(FileOf(*tree, "file2999", blob).value_or(""), "2999");
}

TEST(EstargzReader, MarksWhatALayerHides) {
  Blob blob = BlobOf({{TarEntry('5', "d/"), ""},
                      {TarEntry('0', "d/.wh..wh..opq"), ""},
                      {TarEntry('0', ".wh.gone"), ""},
                      {TarEntry('0', "deep/.wh.er"), ""},
                      {TarEntry('0', ".wh.made"), ""},
                      {TarEntry('5', "made/"), ""}});
  auto tree = ReadEstargzTree(blob.Reader(), blob.bytes.size(), blob.toc);
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_TRUE(tree->has_whiteouts());
  EXPECT_TRUE(tree->has_implied_folders());
  EXPECT_TRUE(tree->nodes()[Walk(*tree, "d")].opaque);
  EXPECT_EQ(tree->nodes()[Walk(*tree, "gone")].kind, Kind::kCharDevice);
  EXPECT_EQ(tree->nodes()[Walk(*tree, "deep/er")].kind, Kind::kCharDevice);
  EXPECT_EQ(tree->nodes()[Walk(*tree, "made")].kind, Kind::kFolder);
  EXPECT_TRUE(tree->nodes()[Walk(*tree, "made")].opaque);
}

TEST(EstargzReader, RefusesOtherBytesThanTheManifestAndTheTableName) {
  Blob blob = BlobOf({{TarEntry('0', "file"), Noise(1000)}});
  EXPECT_EQ(ReadEstargzTree(blob.Reader(), blob.bytes.size(), Digest::Of("x")).status().code(),
            StatusCode::kDataLoss);
  EXPECT_EQ(ReadEstargzTree(blob.Reader(), blob.bytes.size() - 1, blob.toc).status().code(),
            StatusCode::kFailedPrecondition);
  auto tree = ReadEstargzTree(blob.Reader(), blob.bytes.size(), blob.toc);
  ASSERT_TRUE(tree.ok());
  // Right as gzip, and another file.
  Blob other = BlobOf({{TarEntry('0', "file"), Noise(1001).substr(1)}});
  EXPECT_EQ(FileOf(*tree, "file", other).status().code(), StatusCode::kDataLoss);
  blob.bytes[tree->streams()[0].offset + 20] ^= 1;
  EXPECT_EQ(FileOf(*tree, "file", blob).status().code(), StatusCode::kDataLoss);
}

const std::string kSum(64, 'a');

StatusOr<EstargzTree> Parse(std::string_view entries) {
  return EstargzTree::Parse(StrCat(R"({"version":1,"entries":[)", entries, "]}"), 1000);
}
std::string Refusal(std::string_view entries) {
  auto tree = Parse(entries);
  return tree.ok() ? "" : tree.status().message();
}
std::string File(std::string_view more) {
  return StrCat(R"({"name":"f","type":"reg","size":10,)", more, R"(,"chunkDigest":"sha256:)", kSum,
                "\"}");
}

TEST(EstargzTree, KeepsToWhatATableMaySay) {
  EXPECT_TRUE(Parse(File(R"("offset":5)")).ok());
  EXPECT_TRUE(Contains(Refusal(File(R"("offset":1000)")), "not in the layer"));
  EXPECT_TRUE(Contains(Refusal(File(R"("offset":-1)")), "not in the layer"));
  EXPECT_TRUE(Contains(Refusal(File(R"("chunkOffset":3)")), "out of order"));
  EXPECT_TRUE(Contains(Refusal(File(R"("chunkSize":11)")), "larger than its file"));
  EXPECT_TRUE(Contains(Refusal(File(R"("chunkSize":9)")), "chunks are missing"));
  EXPECT_TRUE(Contains(Refusal(R"({"name":"f","type":"reg","size":1})"), "no digest"));
  EXPECT_TRUE(Contains(Refusal(R"({"name":"f","type":"chunk"})"), "a chunk of no file"));
  EXPECT_TRUE(Contains(Refusal(R"({"name":"f","type":"socket"})"), "unknown type"));
  EXPECT_TRUE(Contains(Refusal(R"({"name":"a","type":"reg","uid":-1})"), "invalid name"));
  EXPECT_TRUE(Contains(Refusal(StrCat(R"({"name":")", std::string(300, 'n'), R"(","type":"dir"})")),
                       "too long"));
  EXPECT_TRUE(Contains(
      Refusal(StrCat(File(R"("offset":5)"), ",",
                     ReplaceAll(File(R"("offset":5,"innerOffset":9)"), "\"f\"", "\"g\""))),
      "lie on one another"));
}

TEST(EstargzTree, StaysInsideItself) {
  auto tree = Parse(R"({"name":"../../etc/../up","type":"symlink","linkName":"../.."})");
  ASSERT_TRUE(tree.ok());
  EXPECT_NE(Walk(*tree, "up"), 0u);
  EXPECT_TRUE(Contains(Refusal(R"({"name":"a","type":"symlink","linkName":"/"},
                                  {"name":"a/b","type":"dir"})"),
                       "a folder of its path is none"));
}

TEST(EstargzTree, LinksLeadBackOnly) {
  EXPECT_TRUE(Contains(Refusal(R"({"name":"a","type":"hardlink","linkName":"b"},
                                  {"name":"b","type":"hardlink","linkName":"a"})"),
                       "a link to what the layer lacks"));
  EXPECT_TRUE(Contains(Refusal(R"({"name":"d","type":"dir"},
                                  {"name":"d/e","type":"hardlink","linkName":"d"})"),
                       "a hard link to a folder"));
}

TEST(EstargzTree, LaterEntriesWin) {
  auto tree = Parse(StrCat(File(R"("offset":5)"), R"(,{"name":"d/x","type":"dir"},
      {"name":"f","type":"symlink","linkName":"y"},{"name":"d","type":"dir","mode":448})"));
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ(tree->nodes()[Walk(*tree, "f")].kind, Kind::kSymlink);
  EXPECT_EQ(tree->nodes()[Walk(*tree, "d")].mode, 0700u);
  EXPECT_NE(Walk(*tree, "d/x"), 0u);
  EXPECT_FALSE(tree->has_implied_folders());
}

TEST(EstargzTree, HidesLandmarks) {
  auto tree = Parse(ReplaceAll(File(R"("offset":5)"), "\"f\"", "\".no.prefetch.landmark\""));
  ASSERT_TRUE(tree.ok());
  EXPECT_TRUE(tree->nodes()[0].children.empty());
}

TEST(EstargzTree, WantsATable) {
  for (const char* text : {"", "{", "[]", "{}", R"({"version":2,"entries":[]})",
                           R"({"version":1})", R"({"version":1,"entries":[{"size":1e99}]})",
                           R"({"version":1,"entries":[{"size":18446744073709551615}]})"}) {
    EXPECT_EQ(EstargzTree::Parse(text, 10).status().code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_TRUE(EstargzTree::Parse(R"({"entries":null,"version":1})", 10).ok());
}

}  // namespace
}  // namespace kiln::oci
