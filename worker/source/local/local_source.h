// Source "local": a folder of the client, synchronised into a kept record.
#pragma once

#include <memory>
#include <string>

#include "cache/ref_store.h"
#include "worker/client_session.h"
#include "worker/source/source.h"

namespace kiln::worker {

// `refs` and `sessions` must outlive the source; `temp_dir` is for mounts.
std::unique_ptr<Source> MakeLocalSource(cache::RefStore& refs, SessionTable& sessions,
                                        std::string temp_dir);

}  // namespace kiln::worker
