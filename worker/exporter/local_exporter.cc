// type=local: files of the result into a folder of the client.
#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>

#include "base/rooted.h"
#include "base/strings.h"
#include "worker/exporter/export_trees.h"
#include "worker/exporter/exporters.h"
#include "worker/exporter/image_commit.h"

namespace kiln::worker {
namespace {

constexpr uint32_t kGoDirectory = 1u << 31;

// As often as a client shows it; each event is kept for as long as the build.
constexpr std::chrono::milliseconds kProgressInterval{100};

// A line "copying files" that counts bytes.
class TransferLine {
 public:
  TransferLine(const ExportContext& context, const std::string& id) {
    if (context.progress != nullptr) {
      line_ = std::make_unique<solver::StatusLine>(*context.progress, id);
    }
  }
  ~TransferLine() {
    if (line_ != nullptr) line_->Update(bytes_, 0);
  }
  void Update(int64_t bytes) {
    bytes_ = bytes;
    auto now = std::chrono::steady_clock::now();
    if (line_ == nullptr || now - last_ < kProgressInterval) return;
    last_ = now;
    line_->Update(bytes, 0);
  }

 private:
  std::unique_ptr<solver::StatusLine> line_;
  std::chrono::steady_clock::time_point last_;
  int64_t bytes_ = 0;
};

class LocalExporter : public Exporter {
 public:
  LocalExporter(ExporterTableOptions table, FileOptions options, bool delete_mode)
      : table_(std::move(table)), options_(std::move(options)), delete_mode_(delete_mode) {}

  std::string name() const override { return "exporting to client directory"; }
  std::string type() const override { return "local"; }
  StatusOr<Attrs> Export(const ExportSource& source, const ExportContext& context) override;

 private:
  Status SendSplit(const std::vector<ExportTree>& trees, const std::string& label,
                   ClientSession& session, const ExportContext& context);
  Status SendOne(const ExportTree& tree, const std::string& label, ClientSession& session,
                 const ExportContext& context);
  SendDirRequest Request(const std::string& dir, const ExportContext& context,
                         TransferLine& line) const;

  ExporterTableOptions table_;
  FileOptions options_;
  bool delete_mode_;
};

SendDirRequest LocalExporter::Request(const std::string& dir, const ExportContext& context,
                                      TransferLine& line) const {
  SendDirRequest request{.dir = dir, .exporter_id = context.exporter_id};
  if (delete_mode_) request.metadata["buildkit-exporter-multi-platform"] = "1";
  request.on_progress = [&line](int64_t bytes) { line.Update(bytes); };
  return request;
}

// The statements about a tree as files below `prefix`.
void AddStatements(const ExportTree& tree, const std::string& prefix, SendDirRequest* request) {
  int64_t now = Now().nanos / 1'000'000'000 * 1'000'000'000;
  for (const auto& [name, text] : tree.statements) {
    SyncStat stat;
    stat.path = prefix + name;
    stat.mode = 0600;
    stat.mod_time = tree.epoch ? *tree.epoch * 1'000'000'000 : now;
    request->extra.push_back({std::move(stat), text});
  }
}

// Without folders per platform no file may come from two of them.
Status CheckOverlap(const std::vector<ExportTree>& trees) {
  std::map<std::string, std::string> seen;
  for (const ExportTree& tree : trees) {
    ASSIGN_OR_RETURN(RootedTree root, RootedTree::Open(tree.path));
    RETURN_IF_ERROR(WalkTree(root.fd(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
      if (S_ISDIR(entry.st->st_mode)) return WalkStep::kContinue;
      auto [place, fresh] = seen.emplace(entry.path, tree.id);
      if (fresh) return WalkStep::kContinue;
      return UnknownError(StrCat("cannot overwrite ", entry.path, " from ", place->second,
                                 " with ", tree.id, " when split option is disabled"));
    }));
  }
  return OkStatus();
}

StatusOr<Attrs> LocalExporter::Export(const ExportSource& source, const ExportContext& context) {
  ASSIGN_OR_RETURN(ClientSessionPtr session, ExportSession(table_, context));
  ASSIGN_OR_RETURN(std::vector<ExportTree> trees,
                   OpenTrees(source, options_, table_.refs->temp_dir(), context.stop));
  bool split = options_.split(!source.refs.empty());
  // What is not sent is deleted in that mode, so everything goes in one transfer.
  if (split && delete_mode_) {
    RETURN_IF_ERROR(SendSplit(trees, "copying files", *session, context));
    return Attrs();
  }
  if (split) {
    for (const ExportTree& tree : trees) {
      RETURN_IF_ERROR(SendSplit({tree}, StrCat("copying files ", tree.id), *session, context));
    }
    return Attrs();
  }
  if (trees.size() > 1) RETURN_IF_ERROR(CheckOverlap(trees));
  for (const ExportTree& tree : trees) {
    RETURN_IF_ERROR(SendOne(tree, "copying files", *session, context));
  }
  return Attrs();
}

Status LocalExporter::SendOne(const ExportTree& tree, const std::string& label,
                              ClientSession& session, const ExportContext& context) {
  TransferLine line(context, label);
  SendDirRequest request = Request(tree.path, context, line);
  if (tree.epoch) {
    int64_t nanos = *tree.epoch * 1'000'000'000;
    request.map_stat = [nanos](SyncStat& stat) {
      stat.mod_time = nanos;
      return true;
    };
  }
  AddStatements(tree, "", &request);
  return session.SendDir(request, context.stop);
}

// In one transfer: the trees are mounted under folders of their platforms' names.
Status LocalExporter::SendSplit(const std::vector<ExportTree>& trees, const std::string& label,
                                ClientSession& session, const ExportContext& context) {
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(table_.refs->temp_dir(), "split"));
  TempDir top(path);
  std::map<std::string, std::optional<int64_t>> folders;
  std::vector<std::string> mounted;
  Status status;
  for (const ExportTree& tree : trees) {
    std::string target = JoinPath(path, tree.folder());
    status = MakeDirs(target);
    if (status.ok()) status = cache::MountAll({{"bind", tree.path, {"rbind", "ro"}}}, target);
    if (!status.ok()) break;
    mounted.push_back(target);
    folders[tree.folder()] = tree.epoch;
  }
  TransferLine line(context, label);
  SendDirRequest request = Request(path, context, line);
  request.map_stat = [&folders](SyncStat& stat) {
    size_t slash = stat.path.find('/');
    auto folder = folders.find(stat.path.substr(0, slash));
    if (folder == folders.end()) return true;
    if (slash == std::string::npos) {
      stat.mode = kGoDirectory | 0755;
      stat.uid = stat.gid = 0;
      stat.mod_time = 0;
      stat.xattrs.clear();
    }
    if (folder->second) stat.mod_time = *folder->second * 1'000'000'000;
    return true;
  };
  for (const ExportTree& tree : trees) AddStatements(tree, tree.folder() + "/", &request);
  if (status.ok()) status = session.SendDir(request, context.stop);
  for (const std::string& target : mounted) {
    Status undone = cache::UnmountAll(target);
    if (status.ok()) status = std::move(undone);
  }
  return status;
}

}  // namespace

StatusOr<std::unique_ptr<Exporter>> NewLocalExporter(const ExporterTableOptions& table,
                                                     Attrs attrs) {
  auto mode = attrs.find("mode");
  bool delete_mode = mode != attrs.end() && ToLower(TrimSpace(mode->second)) == "delete";
  ASSIGN_OR_RETURN(FileOptions options, TakeFileOptions(attrs));
  return std::make_unique<LocalExporter>(table, std::move(options), delete_mode);
}

}  // namespace kiln::worker
