// type=tar: files of the result as one archive to the client.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <map>

#include "base/rooted.h"
#include "base/strings.h"
#include "oci/tar.h"
#include "worker/exporter/export_trees.h"
#include "worker/exporter/exporters.h"
#include "worker/exporter/image_commit.h"

namespace kiln::worker {
namespace {

// Writes one tree, under a prefix. One use.
class TreeArchiver {
 public:
  TreeArchiver(oci::TarWriter& tar, std::string prefix, const ExportTree& tree)
      : tar_(tar), prefix_(std::move(prefix)), tree_(tree), epoch_(tree.epoch),
        next_(tree.statements.begin()) {}
  Status Write();

 private:
  Status Entry(const WalkEntry& entry);
  StatusOr<oci::TarHeader> Header(const WalkEntry& entry);
  Status Data(const WalkEntry& entry, int64_t size);
  Status Statement();

  oci::TarWriter& tar_;
  std::string prefix_;
  const ExportTree& tree_;
  std::optional<int64_t> epoch_;
  std::map<std::string, std::string>::const_iterator next_;  // statement to come
  std::map<ino_t, std::string> first_names_;
};

Status TreeArchiver::Write() {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(tree_.path));
  auto end = tree_.statements.end();
  RETURN_IF_ERROR(WalkTree(tree.fd(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    // Statements stand among the top names, and hide files of theirs.
    bool top = entry.path == entry.name;
    while (top && next_ != end && next_->first < entry.name) RETURN_IF_ERROR(Statement());
    if (top && next_ != end && next_->first == entry.name) {
      RETURN_IF_ERROR(Statement());
      return WalkStep::kSkipDir;
    }
    RETURN_IF_ERROR(Entry(entry));
    return WalkStep::kContinue;
  }));
  while (next_ != end) RETURN_IF_ERROR(Statement());
  return OkStatus();
}

Status TreeArchiver::Statement() {
  const auto& [name, text] = *next_++;
  oci::TarHeader header;
  header.name = prefix_ + name;
  header.mode = 0600;
  header.size = static_cast<int64_t>(text.size());
  header.mtime = {epoch_.value_or(Now().nanos / 1'000'000'000), 0};
  RETURN_IF_ERROR(tar_.WriteHeader(header));
  return tar_.Write(text);
}

StatusOr<oci::TarHeader> TreeArchiver::Header(const WalkEntry& entry) {
  const struct stat& st = *entry.st;
  oci::TarHeader header;
  header.name = StrCat(prefix_, entry.path);
  header.mode = st.st_mode & 07777;
  header.uid = st.st_uid;
  header.gid = st.st_gid;
  header.mtime = {st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
  if (epoch_) header.mtime = {*epoch_, 0};
  switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
      header.type = '5';
      header.name += '/';
      break;
    case S_IFLNK: {
      header.type = '2';
      char text[4097];
      ssize_t size = ::readlinkat(entry.dir, entry.name.c_str(), text, sizeof text);
      if (size < 0) return ErrnoStatus(errno, StrCat("readlink ", entry.path));
      header.link_name.assign(text, static_cast<size_t>(size));
      break;
    }
    case S_IFCHR: header.type = '3'; break;
    case S_IFBLK: header.type = '4'; break;
    case S_IFIFO: header.type = '6'; break;
    case S_IFSOCK: break;  // an empty file, as in the reference
    default: header.size = st.st_size;
  }
  if (header.type == '3' || header.type == '4') {
    header.dev_major = major(st.st_rdev);
    header.dev_minor = minor(st.st_rdev);
  }
  if (!S_ISDIR(st.st_mode)) {
    auto [first, fresh] = first_names_.emplace(st.st_ino, header.name);
    if (!fresh && st.st_nlink > 1 && !S_ISLNK(st.st_mode)) {
      header.type = '1';
      header.link_name = first->second;
      header.size = 0;
    }
  }
  ASSIGN_OR_RETURN(auto attributes, ReadXattrs(entry.dir, entry.name));
  for (const auto& [key, value] : attributes) header.pax[StrCat("SCHILY.xattr.", key)] = value;
  return header;
}

Status TreeArchiver::Entry(const WalkEntry& entry) {
  ASSIGN_OR_RETURN(oci::TarHeader header, Header(entry));
  Status status = tar_.WriteHeader(header);
  if (!status.ok()) return Annotate(status, StrCat("failed to write file header ", header.name));
  return header.type == '0' && header.size > 0 ? Data(entry, header.size) : OkStatus();
}

Status TreeArchiver::Data(const WalkEntry& entry, int64_t size) {
  UniqueFd file(::openat(entry.dir, entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, StrCat("open ", entry.path));
  std::string buffer(256 << 10, '\0');
  while (size > 0) {
    ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("read ", entry.path));
    if (count == 0) return DataLossError(StrCat("read ", entry.path, ": unexpected EOF"));
    RETURN_IF_ERROR(tar_.Write(std::string_view(buffer).substr(0, static_cast<size_t>(count))));
    size -= count;
  }
  return OkStatus();
}

class TarExporter : public Exporter {
 public:
  TarExporter(ExporterTableOptions table, FileOptions options)
      : table_(std::move(table)), options_(std::move(options)) {}
  std::string name() const override { return "exporting to client tarball"; }
  std::string type() const override { return "tar"; }
  StatusOr<Attrs> Export(const ExportSource& source, const ExportContext& context) override;

 private:
  ExporterTableOptions table_;
  FileOptions options_;
};

Status WriteTrees(const std::vector<ExportTree>& trees, bool split, const oci::WriteFn& out) {
  oci::TarWriter tar(out);
  for (const ExportTree& tree : trees) {
    std::string prefix;
    if (split) {
      prefix = StrCat(tree.folder(), "/");
      oci::TarHeader folder;
      folder.type = '5';
      folder.name = prefix;
      folder.mode = 0755;
      if (tree.epoch) folder.mtime.seconds = *tree.epoch;
      RETURN_IF_ERROR(tar.WriteHeader(folder));
    }
    RETURN_IF_ERROR(TreeArchiver(tar, prefix, tree).Write());
  }
  return tar.Close();
}

StatusOr<Attrs> TarExporter::Export(const ExportSource& source, const ExportContext& context) {
  ASSIGN_OR_RETURN(std::vector<ExportTree> trees,
                   OpenTrees(source, options_, table_.refs->temp_dir(), context.stop));
  ASSIGN_OR_RETURN(ClientSessionPtr session, ExportSession(table_, context));
  ASSIGN_OR_RETURN(std::unique_ptr<ByteSink> sink, session->OpenOutput({}, context.exporter_id));
  ProgressLine line(context, "sending tarball");
  Status status = WriteTrees(trees, !source.refs.empty(), [&](std::string_view bytes) {
    if (context.stop.stop_requested()) return CancelledError("context canceled");
    return sink->Write(bytes);
  });
  Status closed = sink->Close();
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(closed);
  return Attrs();
}

}  // namespace

StatusOr<std::unique_ptr<Exporter>> NewTarExporter(const ExporterTableOptions& table,
                                                   Attrs attrs) {
  ASSIGN_OR_RETURN(FileOptions options, TakeFileOptions(attrs));
  return std::make_unique<TarExporter>(table, std::move(options));
}

}  // namespace kiln::worker
