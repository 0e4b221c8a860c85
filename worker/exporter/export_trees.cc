// Mounted trees of a result. See export_trees.h.
#include "worker/exporter/export_trees.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/go_json.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "worker/exporter/attestation.h"

namespace kiln::worker {
namespace {

StatusOr<Digest> DigestOfFile(const WalkEntry& entry) {
  UniqueFd file(::openat(entry.dir, entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, StrCat("open ", entry.path));
  Sha256 hash;
  std::string buffer(256 << 10, '\0');
  while (true) {
    ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("read ", entry.path));
    if (count == 0) return hash.Finish();
    hash.Update(std::string_view(buffer).substr(0, static_cast<size_t>(count)));
  }
}

// Every file of the tree.
StatusOr<std::vector<StatementSubject>> SubjectsIn(const std::string& path) {
  std::vector<StatementSubject> subjects;
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(path));
  RETURN_IF_ERROR(WalkTree(tree.fd(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    if (!S_ISREG(entry.st->st_mode)) return WalkStep::kContinue;
    ASSIGN_OR_RETURN(Digest digest, DigestOfFile(entry));
    subjects.push_back({entry.path, {{"sha256", std::string(digest.hex())}}});
    return WalkStep::kContinue;
  }));
  return subjects;
}

// "provenance.json", or "provenance.linux_amd64.json" where platforms share a folder.
std::string StatementName(const FileOptions& options, const std::string& path,
                          const ExportTree& tree, bool shared) {
  std::string name = options.attestation_prefix + BaseName(path);
  if (!shared) return name;
  size_t dot = name.rfind('.');
  std::string ext = dot == std::string::npos ? "" : name.substr(dot);
  return StrCat(name.substr(0, dot), ".", tree.folder(), ext);
}

Status AddStatements(const ExportSource& source, const FileOptions& options, bool many,
                     const std::string& temp_dir, std::stop_token stop, ExportTree* tree) {
  std::vector<const ExportAttestation*> attestations;
  auto found = source.attestations.find(tree->id);
  if (found == source.attestations.end()) return OkStatus();
  for (const ExportAttestation& attestation : found->second) {
    if (!InlineOnly(attestation)) attestations.push_back(&attestation);
  }
  ASSIGN_OR_RETURN(auto attested, Unbundle(attestations, temp_dir, std::move(stop)));
  if (attested.empty()) return OkStatus();
  ASSIGN_OR_RETURN(std::vector<StatementSubject> subjects, SubjectsIn(tree->path));
  for (const AttestedPredicate& one : attested) {
    ASSIGN_OR_RETURN(std::string statement, StatementJson(one, subjects));
    std::string name = StatementName(options, one.path, *tree, many && !options.split(many));
    if (!tree->statements.emplace(name, GoJsonIndent(statement)).second) {
      return UnknownError(StrCat("duplicate attestation path name ", name));
    }
  }
  return OkStatus();
}

}  // namespace

StatusOr<FileOptions> TakeFileOptions(Attrs& attrs) {
  FileOptions options;
  RETURN_IF_ERROR(TakeEpoch(attrs, options.epoch));
  for (const auto& [key, value] : attrs) {
    if (key == "attestation-prefix") options.attestation_prefix = value;
    if (key == "platform-split") {
      bool split = false;
      if (!ParseBool(value, &split)) {
        return UnknownError(StrCat("non-bool value for platform-split: ", value,
                                   ": strconv.ParseBool: parsing ", Quote(value),
                                   ": invalid syntax"));
      }
      options.platform_split = split;
    }
    if (key == "mode") {
      std::string mode = ToLower(TrimSpace(value));
      if (!mode.empty() && mode != "copy" && mode != "delete") {
        return UnknownError(StrCat("invalid local exporter mode ", Quote(value)));
      }
    }
  }
  return options;
}

std::string ExportTree::folder() const { return ReplaceAll(id, "/", "_"); }

StatusOr<std::vector<ExportTree>> OpenTrees(const ExportSource& source,
                                            const FileOptions& options,
                                            const std::string& temp_dir, std::stop_token stop) {
  bool many = !source.refs.empty();
  if (many && !source.metadata.contains("refs.platforms")) {
    return UnknownError("unable to export multiple refs, missing platforms mapping");
  }
  ASSIGN_OR_RETURN(std::vector<ExportPlatform> platforms, ParsePlatforms(source.metadata));
  if (!many && platforms.size() > 1) {
    return UnknownError("unable to export multiple platforms without map");
  }
  std::vector<ExportTree> trees;
  for (const ExportPlatform& platform : platforms) {
    bool found = false;
    const cache::Ref* ref = FindRef(source, platform.id, &found);
    if (!found && many) return UnknownError(StrCat("failed to find ref for ID ", platform.id));
    ExportTree tree;
    tree.id = platform.id;
    if (options.epoch) {
      tree.epoch = *options.epoch;
    } else {
      ASSIGN_OR_RETURN(tree.epoch, SourceEpoch(source.metadata, platform.id));
    }
    if (ref == nullptr) {
      ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir, "scratch"));
      tree.path = path;
      tree.lease = std::make_shared<TempDir>(std::move(path));
    } else {
      ASSIGN_OR_RETURN(cache::MountLease lease, ref->Mount(true, stop));
      ASSIGN_OR_RETURN(cache::LocalMount mount,
                       cache::LocalMount::Open(std::move(lease), temp_dir));
      auto kept = std::make_shared<cache::LocalMount>(std::move(mount));
      tree.path = kept->path();
      tree.lease = std::move(kept);
    }
    RETURN_IF_ERROR(AddStatements(source, options, many, temp_dir, stop, &tree));
    trees.push_back(std::move(tree));
  }
  return trees;
}

}  // namespace kiln::worker
