// --output: where results go.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/csv.h"
#include "base/file.h"
#include "cmd/buildctl/build_flags.h"

namespace kiln::buildctl {
namespace {

// One file shared by what writes to it; standard output is duplicated.
StatusOr<std::shared_ptr<UniqueFd>> OpenDestination(const std::string& type,
                                                    const std::string& dest) {
  if (dest.empty() || dest == "-") {
    if (::isatty(STDOUT_FILENO) != 0) {
      return UnknownError(StrCat("output file is required for ", type,
                                 " exporter. refusing to write to console"));
    }
    return std::make_shared<UniqueFd>(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  }
  struct stat st{};
  if (::stat(dest.c_str(), &st) != 0) {
    if (errno != ENOENT) {
      return ErrnoStatus(errno, StrCat("invalid destination file: ", dest, ": stat ", dest));
    }
  } else if (S_ISDIR(st.st_mode)) {
    return UnknownError("destination file is a directory");
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(dest, O_RDWR | O_CREAT | O_TRUNC, 0666));
  return std::make_shared<UniqueFd>(std::move(fd));
}

Status Resolve(api::ExportEntry& entry, const std::string& dest) {
  bool file = entry.type == "tar";
  bool dir = entry.type == "local";
  if (entry.type == "oci" || entry.type == "docker") {
    bool tar = true;
    if (auto attr = entry.attrs.find("tar"); attr != entry.attrs.end()) ParseBool(attr->second, &tar);
    file = tar;
    dir = !tar;
  }
  if (dir) {
    if (dest.empty()) {
      return UnknownError(StrCat("output directory is required for ", entry.type, " exporter"));
    }
    entry.dir = dest;
  } else if (file) {
    ASSIGN_OR_RETURN(entry.file, OpenDestination(entry.type, dest));
  } else if (!dest.empty()) {
    return UnknownError(StrCat("output ", dest, " is not supported by ", entry.type, " exporter"));
  }
  return OkStatus();
}

StatusOr<api::ExportEntry> ParseOutput(const std::string& text) {
  api::ExportEntry entry;
  ASSIGN_OR_RETURN(std::vector<std::string> fields, CsvFields(text));
  for (const std::string& field : fields) {
    std::string_view key;
    std::string_view value;
    if (!StrCut(field, "=", &key, &value)) return UnknownError(StrCat("invalid value ", field));
    std::string name = ToLower(key);
    if (name == "type") {
      entry.type = std::string(value);
    } else {
      entry.attrs[name] = std::string(value);
    }
  }
  if (entry.type.empty()) return UnknownError("--output requires type=<type>");
  if (auto wrong = entry.attrs.find("output"); wrong != entry.attrs.end()) {
    return UnknownError(StrCat("output=", wrong->second,
                               " not supported for --output, you meant dest=", wrong->second, "?"));
  }
  auto dest = entry.attrs.find("dest");
  RETURN_IF_ERROR(Annotate(Resolve(entry, dest == entry.attrs.end() ? "" : dest->second),
                           "invalid output option: output"));
  if (entry.file != nullptr || !entry.dir.empty()) entry.attrs.erase("dest");
  return entry;
}

}  // namespace

StatusOr<std::vector<api::ExportEntry>> ParseOutputs(const std::vector<std::string>& values) {
  std::vector<api::ExportEntry> entries;
  for (const std::string& text : values) {
    ASSIGN_OR_RETURN(api::ExportEntry entry, ParseOutput(text));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace kiln::buildctl
