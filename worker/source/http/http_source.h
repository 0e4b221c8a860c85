// Sources "http" and "https": one file by URL.
#pragma once

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

}  // namespace kiln::worker
