// The exporters of this server: image, oci, docker, local, tar.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "cache/ref_store.h"
#include "worker/client_session.h"
#include "worker/exporter/exporter.h"

namespace kiln::worker {

struct CommittedImage;

// Where a committed image goes.
struct PushTarget {
  std::string name;  // as the user wrote it
  bool insecure = false;
  bool by_digest = false;
};
// Pushes with the credentials of the build's session. See worker/exporter/image_push.h.
using PushFn =
    std::function<Status(const CommittedImage&, const PushTarget&, const ExportContext&)>;

// Puts a committed image into an image store beside ours, under one name.
struct StoreTarget {
  std::string name;
  bool unpack = false;            // make its tree there as well
  bool allow_incomplete = false;  // without layers that have never come here
};
using StoreFn = std::function<Status(const CommittedImage&, const StoreTarget&)>;

struct ExporterTableOptions {
  cache::RefStore* refs = nullptr;      // must outlive the table
  SessionTable* sessions = nullptr;     // must outlive the table
  PushFn push = {};                     // null: pushing is UNIMPLEMENTED
  StoreFn store = {};                   // null: there is no such store
};

// The table is thread-safe.
std::unique_ptr<ExporterTable> NewExporterTable(ExporterTableOptions options);

}  // namespace kiln::worker
