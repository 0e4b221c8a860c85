// SPDX documents (2.3, JSON): what an SBOM scanner found, supplemented.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::worker {

// The layer that a file came from; nothing if no layer has it.
using LayerOfFile = std::function<StatusOr<std::optional<std::string>>(const std::string& path)>;

// The document with a comment on each file that has none ("layerID: sha256:…") and
// `tool` among its creators, written as the reference's SPDX library writes it.
// Nothing if it is no SPDX document; then it is to be left alone.
StatusOr<std::optional<std::string>> SupplementSpdx(std::string_view document,
                                                    std::string_view tool,
                                                    const LayerOfFile& layer_of);

}  // namespace kiln::worker
