// Pushing of a committed image to a registry.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "oci/registry.h"
#include "worker/exporter/exporter_table.h"

namespace kiln::worker {

// Who pushes for a session; may give null.
using PushAuthFn =
    std::function<std::shared_ptr<oci::RegistryAuth>(const std::string& session_id)>;

// For ExporterTableOptions::push.
PushFn NewRegistryPush(std::shared_ptr<oci::Registry> registry, PushAuthFn auth);

}  // namespace kiln::worker
