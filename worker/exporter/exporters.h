// Makers of the single exporters, for exporter_table.cc only.
#pragma once

#include "worker/exporter/export_options.h"
#include "worker/exporter/exporter_table.h"

namespace kiln::worker {

// `attrs` are what the user gave; INVALID attributes give the reference's errors.
StatusOr<std::unique_ptr<Exporter>> NewImageExporter(const ExporterTableOptions& options,
                                                     Attrs attrs);
// `variant` is "oci" or "docker".
StatusOr<std::unique_ptr<Exporter>> NewArchiveExporter(const ExporterTableOptions& options,
                                                       std::string variant, Attrs attrs);
StatusOr<std::unique_ptr<Exporter>> NewLocalExporter(const ExporterTableOptions& options,
                                                     Attrs attrs);
StatusOr<std::unique_ptr<Exporter>> NewTarExporter(const ExporterTableOptions& options,
                                                   Attrs attrs);

// The client behind the build; waits a few seconds for it.
StatusOr<ClientSessionPtr> ExportSession(const ExporterTableOptions& options,
                                         const ExportContext& context);

}  // namespace kiln::worker
