// Layers: a tar stream of changes becomes a tree, a tree becomes such a stream.
//
// Follows the OCI image-spec's layer document; what is written is byte for byte
// what the reference writes, since diff IDs depend on it. Compression is
// oci/compress.h; the tar format itself is oci/tar.h.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "oci/stream.h"

namespace kiln::oci {

struct ApplyOptions {
  // kOverlay: whiteouts become what overlayfs understands, in a folder that will be an
  // upper or lower directory. kRemove: the folder holds the lower layers' files already,
  // and whiteouts remove them.
  enum class Whiteouts { kOverlay, kRemove };
  Whiteouts whiteouts = Whiteouts::kOverlay;
  // Folders of the layers below, nearest first (kOverlay only): folders that the archive
  // does not hold take their owner, mode and times from there, and hard links to files of
  // lower layers copy them up.
  std::vector<std::string> parents = {};
  bool user_xattr = false;  // "user.overlay.opaque" in place of "trusted.…" (rootless)
  std::stop_token stop = {};
};

struct AppliedLayer {
  DiffId diff_id;          // of the whole stream, to its end
  int64_t tar_bytes = 0;   // length of the stream
  int64_t file_bytes = 0;  // sum of the files' sizes
  // A folder that the archive does not hold was made without `parents` to copy it from.
  bool missed_parents = false;
};

// Unpacks the uncompressed `tar` into the folder `dir`. Nothing outside of `dir` is ever
// touched, whatever names and links the archive holds. Blocking; on failure `dir` holds a
// part of the layer and is to be thrown away. CANCELLED when stopped.
StatusOr<AppliedLayer> ApplyLayer(const ReadFn& tar, const std::string& dir,
                                  const ApplyOptions& options);

struct WrittenDiff {
  DiffId diff_id;
  int64_t tar_bytes = 0;
};

// The tar of what `upper` changes over `lower`. Both blocking.
//
// WriteOverlayDiff: `upper` is the upper directory of an overlay with its whiteouts and
// opaque marks; `lower` is the mounted tree below it, "" if there is none. Fails with
// "redirect_dir is used…" like the reference where folders were renamed in place.
StatusOr<WrittenDiff> WriteOverlayDiff(const std::string& lower, const std::string& upper,
                                       const WriteFn& out, std::stop_token stop = {});
// WriteTreeDiff: compares two complete trees; `lower` "" gives all of `upper`.
StatusOr<WrittenDiff> WriteTreeDiff(const std::string& lower, const std::string& upper,
                                    const WriteFn& out, std::stop_token stop = {});

// Copies a layer and lowers every time after `epoch` (seconds) to it (the exporters'
// rewrite-timestamp). Entries are written anew as the reference's converter does.
StatusOr<WrittenDiff> RewriteTimestamps(const ReadFn& tar, int64_t epoch, const WriteFn& out);

}  // namespace kiln::oci
