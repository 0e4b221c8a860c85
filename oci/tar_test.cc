// Archives against bytes that Go's archive/tar and GNU tar are known to write.
#include "oci/tar.h"

#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

std::string Write(const TarHeader& header, std::string_view data = "") {
  std::string out;
  TarWriter writer(AppendTo(out));
  EXPECT_TRUE(writer.WriteHeader(header).ok());
  EXPECT_TRUE(writer.Write(data).ok());
  EXPECT_TRUE(writer.Close().ok());
  return out;
}

std::string FieldText(const std::string& archive, size_t block, size_t offset, size_t size) {
  return archive.substr(block * 512 + offset, size);
}

TEST(TarWriter, WritesAPlainFileAsUstar) {
  TarHeader header;
  header.name = "dir/file";
  header.mode = 0644;
  header.uid = 1000;
  header.gid = 100;
  header.size = 5;
  header.mtime.seconds = 1700000000;
  std::string out = Write(header, "hello");
  ASSERT_EQ(out.size(), 512u * 4);
  EXPECT_EQ(FieldText(out, 0, 100, 8), std::string("0000644\0", 8));
  EXPECT_EQ(FieldText(out, 0, 108, 8), std::string("0001750\0", 8));
  EXPECT_EQ(FieldText(out, 0, 124, 12), std::string("00000000005\0", 12));
  EXPECT_EQ(FieldText(out, 0, 136, 12), std::string("14524770400\0", 12));
  EXPECT_EQ(FieldText(out, 0, 257, 8), std::string("ustar\00000", 8));
  EXPECT_EQ(FieldText(out, 0, 329, 16), std::string("0000000\0000000000\0", 16));
  EXPECT_EQ(FieldText(out, 1, 0, 6), std::string("hello\0", 6));
}

TEST(TarWriter, SplitsALongNameOverPrefixAndName) {
  TarHeader header;
  header.format = TarHeader::Format::kPax;
  header.name = std::string(90, 'a') + "/" + std::string(90, 'b');
  std::string out = Write(header);
  ASSERT_EQ(out.size(), 512u * 3);
  EXPECT_EQ(FieldText(out, 0, 0, 90), std::string(90, 'b'));
  EXPECT_EQ(FieldText(out, 0, 345, 91), std::string(90, 'a') + '\0');
}

TEST(TarWriter, PutsWhatUstarCannotHoldIntoPaxRecords) {
  TarHeader header;
  header.format = TarHeader::Format::kPax;
  header.name = "d/\xc3\xa4";
  header.uid = 2097152;
  header.pax["SCHILY.xattr.security.capability"] = std::string("\1\0\0\2", 4);
  std::string out = Write(header);
  EXPECT_EQ(FieldText(out, 0, 0, 14), std::string("d/PaxHeaders.0", 14));
  EXPECT_EQ(out[156], 'x');
  std::string records = std::string("41 SCHILY.xattr.security.capability=\1\0\0\2\n", 41) +
                        "13 path=d/\xc3\xa4\n" + "15 uid=2097152\n";
  EXPECT_EQ(FieldText(out, 1, 0, records.size() + 1), records + '\0');
  EXPECT_EQ(FieldText(out, 2, 0, 3), std::string("d/\0", 3));
}

TEST(TarWriter, RecordsTimesBefore1970) {
  TarHeader header;
  header.format = TarHeader::Format::kPax;
  header.name = "old";
  header.mtime.seconds = -5;
  std::string out = Write(header);
  EXPECT_EQ(FieldText(out, 1, 0, 12), "12 mtime=-5\n");
  EXPECT_EQ(FieldText(out, 2, 136, 12), std::string("00000000000\0", 12));
}

TEST(TarWriter, RefusesTheNextHeaderWhileDataIsMissing) {
  std::string out;
  TarWriter writer(AppendTo(out));
  TarHeader header;
  header.name = "f";
  header.size = 3;
  ASSERT_TRUE(writer.WriteHeader(header).ok());
  EXPECT_EQ(writer.Write("four").message(), "archive/tar: write too long");
  EXPECT_EQ(writer.WriteHeader(header).message(), "archive/tar: missed writing 3 bytes");
}

StatusOr<std::string> ReadData(TarReader& reader) {
  std::string data;
  for (;;) {
    ASSIGN_OR_RETURN(TarReader::Chunk chunk, reader.ReadChunk());
    if (chunk.hole == 0 && chunk.data.empty()) return data;
    data.append(static_cast<size_t>(chunk.hole), '.');
    data += chunk.data;
  }
}

TEST(TarReader, ReadsWhatTheWriterWrote) {
  TarHeader header;
  header.format = TarHeader::Format::kPax;
  header.name = std::string(300, 'n');
  header.size = 700;
  header.mtime = {12, 500};
  header.pax["SCHILY.xattr.user.a"] = "1";
  std::string archive = Write(header, std::string(700, 'x'));
  TarReader reader(ReadFrom(archive));
  StatusOr<std::optional<TarHeader>> read = reader.Next();
  ASSERT_TRUE(read.ok() && read->has_value());
  EXPECT_EQ((*read)->name, header.name);
  EXPECT_EQ((*read)->mtime, header.mtime);
  EXPECT_EQ((*read)->pax.at("SCHILY.xattr.user.a"), "1");
  EXPECT_EQ(ReadData(reader).value_or(""), std::string(700, 'x'));
  EXPECT_FALSE(reader.Next().value_or(TarHeader()).has_value());
}

// Builds a GNU block by hand: octal fields, checksum last.
std::string GnuBlock(char type, std::string_view name, std::string_view size) {
  std::string block(512, '\0');
  auto put = [&](size_t at, std::string_view text) { block.replace(at, text.size(), text); };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, size);
  put(136, "00000000000");
  block[156] = type;
  put(257, std::string_view("ustar  \0", 8));
  return block;
}
std::string Sealed(std::string block) {
  unsigned sum = 8 * ' ';
  for (char c : block) sum += static_cast<unsigned char>(c);
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  block.replace(148, 7, std::string_view(text, 7));
  block[155] = ' ';
  return block;
}

TEST(TarReader, ReadsGnuLongNamesAndSparseFiles) {
  std::string name(150, 'q');
  std::string sparse = GnuBlock('S', "short", "00000000003");
  sparse.replace(386, 24, std::string("00000000004\00000000000003\0", 24));
  sparse.replace(483, 11, "00000000012");
  std::string archive = Sealed(GnuBlock('L', "././@LongLink", "00000000227")) + name +
                        std::string(512 - 150, '\0') + Sealed(sparse) + "abc" +
                        std::string(509 + 1024, '\0');
  TarReader reader(ReadFrom(archive));
  StatusOr<std::optional<TarHeader>> header = reader.Next();
  ASSERT_TRUE(header.ok()) << header.status();
  ASSERT_TRUE(header->has_value());
  EXPECT_EQ((*header)->name, name);
  EXPECT_EQ((*header)->size, 10);
  EXPECT_EQ(ReadData(reader).value_or(""), "....abc...");
}

TEST(TarReader, ReadsPaxSparseFilesOfVersionOne) {
  TarHeader header;
  header.name = "GNUSparseFile.0/f";
  std::string map = "1\n2\n3\n";
  map.resize(512, '\0');
  header.size = 515;
  // The writer drops GNU.sparse records, as Go's does; so the records are put in by hand.
  std::string records =
      "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n24 GNU.sparse.name=real\n"
      "25 GNU.sparse.realsize=6\n";
  ASSERT_EQ(records.size(), 0135u);
  std::string pax = GnuBlock('x', "PaxHeaders.0/f", "00000000135");
  std::string body = Write(header, map + "abc");
  std::string archive = Sealed(pax) + records + std::string(512 - records.size(), '\0') + body;
  TarReader reader(ReadFrom(archive));
  StatusOr<std::optional<TarHeader>> read = reader.Next();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)->name, "real");
  EXPECT_EQ(ReadData(reader).value_or("?"), "..abc.");
}

TEST(TarReader, SaysWhenTheArchiveIsCutOff) {
  TarHeader header;
  header.name = "f";
  header.size = 600;
  std::string archive = Write(header, std::string(600, 'x')).substr(0, 900);
  TarReader reader(ReadFrom(archive));
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_EQ(ReadData(reader).status().message(), "unexpected EOF");
}

TEST(TarReader, RefusesGarbage) {
  std::string garbage(1024, 'z');
  TarReader reader(ReadFrom(garbage));
  EXPECT_EQ(reader.Next().status().message(), "archive/tar: invalid tar header");
}

}  // namespace
}  // namespace kiln::oci
