// From the type of an output to its exporter.
#include "worker/exporter/exporter_table.h"

#include <utility>

#include "worker/exporter/exporters.h"

namespace kiln::worker {
namespace {

class Table : public ExporterTable {
 public:
  explicit Table(ExporterTableOptions options) : options_(std::move(options)) {}
  StatusOr<std::unique_ptr<Exporter>> Make(const std::string& type, const Attrs& attrs) override {
    if (type == "image") return NewImageExporter(options_, attrs);
    if (type == "oci" || type == "docker") return NewArchiveExporter(options_, type, attrs);
    if (type == "local") return NewLocalExporter(options_, attrs);
    if (type == "tar") return NewTarExporter(options_, attrs);
    return NotFoundError(StrCat("exporter ", Quote(type), " could not be found"));
  }

 private:
  ExporterTableOptions options_;
};

}  // namespace

StatusOr<ClientSessionPtr> ExportSession(const ExporterTableOptions& options,
                                         const ExportContext& context) {
  return options.sessions->Get(context.session_id, std::chrono::seconds(5));
}

std::unique_ptr<ExporterTable> NewExporterTable(ExporterTableOptions options) {
  return std::make_unique<Table>(std::move(options));
}

}  // namespace kiln::worker
