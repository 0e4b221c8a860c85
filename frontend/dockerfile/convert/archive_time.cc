// libarchive does the reading; only headers are looked at.
#include "frontend/dockerfile/convert/archive_time.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>

namespace kiln::dockerfile {

std::optional<Time> NewestFileTime(std::string_view bytes) {
  std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return std::nullopt;
  }
  std::optional<Time> newest;
  archive_entry* entry = nullptr;
  while (true) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) return newest;
    if (result < ARCHIVE_WARN) return std::nullopt;
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const Time time{archive_entry_mtime(entry) * 1'000'000'000 + archive_entry_mtime_nsec(entry)};
    if (!newest || time > *newest) newest = time;
  }
}

}  // namespace kiln::dockerfile
