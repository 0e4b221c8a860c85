// Any bytes as a layer: applied to a folder in memory, and copied with times lowered.
// Nothing may be made outside of that folder.
#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include "base/file.h"
#include "oci/layer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  std::string parent = kiln::MakeTempDir("/dev/shm", "layer-fuzz").value_or("");
  if (parent.empty()) std::abort();
  kiln::TempDir dir(parent);
  std::string root = kiln::JoinPath(parent, "root");
  kiln::MakeDirs(root).IgnoreError();
  kiln::oci::ApplyOptions options;
  if (size % 2 == 0) options.whiteouts = kiln::oci::ApplyOptions::Whiteouts::kRemove;
  kiln::oci::ApplyLayer(kiln::oci::ReadFrom(input), root, options).IgnoreError();
  if (kiln::ListDir(parent).value_or({}).size() != 1) std::abort();
  int64_t written = 0;
  auto count = [&](std::string_view part) {
    written += static_cast<int64_t>(part.size());
    return written > (16 << 20) ? kiln::ResourceExhaustedError("enough") : kiln::OkStatus();
  };
  kiln::oci::RewriteTimestamps(kiln::oci::ReadFrom(input), 1000, count).IgnoreError();
  return 0;
}
