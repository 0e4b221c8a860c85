// LayerCodec: how a layer archive becomes a change tree and back, as functions,
// so that tests of the RefStore need no archives. oci/layer does the work.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "cache/content/content_store.h"
#include "cache/ref.h"

namespace kiln::cache {

struct UnpackTarget {
  std::string dir;
  // The folder holds the tree of the layers below, and whiteouts remove from it;
  // else it is empty and gets the changes in overlay form.
  bool whole = false;
  std::vector<std::string> parents = {};  // folders of the layers below, nearest first
  bool user_xattr = false;                // overlay marks in the user namespace (rootless)
};

struct UnpackedLayer {
  DiffId diff_id;  // of the uncompressed archive
  // A folder or link of a layer below was asked for and `parents` had none: the
  // layer is to be unpacked again when those below are there. `diff_id` may be empty.
  bool needs_parents = false;
};

// A layer as it was written to the content store.
struct PackedLayer {
  oci::Descriptor blob;
  DiffId diff_id;
};

// Thread-safe and blocking, like all they are made of.
struct LayerCodec {
  // Reads `blob` from its start to its end, in order, on one thread at a time.
  std::function<StatusOr<UnpackedLayer>(const BlobReader& blob, const UnpackTarget& target,
                                        std::stop_token stop)>
      unpack = {};
  // Packs what `upper` changes over the tree `lower` ("" is an empty one). `upper`
  // is a change tree in overlay form, or a whole tree.
  struct Change {
    std::string lower = {};
    std::string upper = {};
    bool whole = false;
  };
  std::function<StatusOr<PackedLayer>(const Change& change, const CompressionOptions& compression,
                                      ContentStore& content, std::stop_token stop)>
      pack = {};
  // The same archive, compressed otherwise.
  std::function<StatusOr<PackedLayer>(const BlobReader& blob,
                                      const CompressionOptions& compression, ContentStore& content,
                                      std::stop_token stop)>
      convert = {};
};

// The codec made of oci/layer.
LayerCodec OciLayerCodec();

}  // namespace kiln::cache
