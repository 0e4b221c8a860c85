// Sources "http" and "https": one file by URL.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cache/ref_store.h"
#include "worker/client_session.h"
#include "worker/source/source.h"

namespace kiln::worker {

// `refs` and `sessions` must outlive the source; `temp_dir` is for mounts.
std::unique_ptr<Source> MakeHttpSource(cache::RefStore& refs, SessionTable& sessions,
                                       std::string temp_dir);

// What the file is called: as asked for, as the server says, or as the URL ends.
std::string HttpFileName(std::string_view url, std::string_view wanted,
                         std::string_view content_disposition);

// A number among a source's attributes, as Go's ParseInt with base 0 reads it.
// INVALID_ARGUMENT in Go's words.
StatusOr<int64_t> ParseSourceInt(const std::string& text);

}  // namespace kiln::worker
