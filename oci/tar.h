// Tar: reading and writing of archives as Go's archive/tar does it.
//
// Written bytes are those of Go's writer (USTAR where it suffices, else PAX), since
// layer digests depend on them. The reader takes V7, USTAR, PAX and GNU, with GNU and
// PAX sparse files. Entries of other archive formats are libarchive's business.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "oci/stream.h"

namespace kiln::oci {

struct TarTime {
  int64_t seconds = 0;
  int64_t nanos = 0;
  auto operator<=>(const TarTime&) const = default;
};

// One entry. `type` is the flag byte: '0' file, '1' hard link, '2' symlink, '3' char,
// '4' block, '5' folder, '6' fifo.
struct TarHeader {
  char type = '0';
  std::string name;
  std::string link_name;
  int64_t mode = 0;
  int64_t uid = 0, gid = 0;
  int64_t size = 0;
  TarTime mtime;
  std::optional<TarTime> atime, ctime;
  int64_t dev_major = 0, dev_minor = 0;
  std::string uname, gname;
  std::map<std::string, std::string> pax;  // extended records as read; xattrs to be written
  enum class Format { kUnknown, kUstar, kPax, kGnu };
  // Of the reader: what the entry was written as. For the writer: kUnknown drops
  // fractions of times and access times.
  Format format = Format::kUnknown;
};

// Streams an archive to `out`. One thread. After an error the archive is void.
class TarWriter {
 public:
  explicit TarWriter(WriteFn out) : out_(std::move(out)) {}
  // INVALID_ARGUMENT if no format can hold the entry, or data of the last one is missing.
  Status WriteHeader(const TarHeader& header);
  // Data of the entry; more than its size is OUT_OF_RANGE ("archive/tar: write too long").
  Status Write(std::string_view bytes);
  // The two closing blocks.
  Status Close();

 private:
  Status Flush();
  Status WriteRaw(std::string_view name, std::string_view data, char flag, bool gnu);
  WriteFn out_;
  int64_t remaining_ = 0;
  size_t padding_ = 0;
};

// Pulls an archive from `in`. One thread.
class TarReader {
 public:
  explicit TarReader(ReadFn in);
  // The next entry, skipping what is left of the last; nullopt at the end.
  // INVALID_ARGUMENT "archive/tar: invalid tar header", DATA_LOSS "unexpected EOF".
  StatusOr<std::optional<TarHeader>> Next();
  // Some data of the entry, valid until the next call; `hole` zeros come first.
  // Both empty at the end of the entry.
  struct Chunk {
    int64_t hole = 0;
    std::string_view data;
  };
  StatusOr<Chunk> ReadChunk();
  // Reads the rest of the input after the end of the archive.
  Status Drain();

 private:
  struct Extent {
    int64_t offset = 0;
    int64_t length = 0;
  };
  StatusOr<bool> ReadBlock(char* block);
  StatusOr<std::string_view> Take(int64_t limit);
  Status SkipRest();
  StatusOr<std::string> ReadSpecial(int64_t size);
  Status ParseHeader(const char* block, TarHeader& header);
  Status HandleSparse(const char* block, TarHeader& header);
  Status ReadGnuSparse(const char* block, TarHeader& header);
  Status ReadPaxSparse(TarHeader& header);
  StatusOr<std::string> ReadLine();

  ReadFn in_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;
  int64_t physical_ = 0;  // bytes of the entry left in the stream
  size_t padding_ = 0;
  int64_t logical_ = 0, logical_size_ = 0;
  std::deque<Extent> extents_;  // sparse: data extents still to come
  bool sparse_ = false;
};

}  // namespace kiln::oci
