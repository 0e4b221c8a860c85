// The file op. All actions of one step work on one state; each takes what the one
// before it made.
#include "llb/file_action.h"

#include <charconv>

#include "base/file.h"
#include "base/strings.h"
#include "llb/graph.h"
#include "llb/node.h"

namespace kiln::llb {
namespace {

bool IsAbsolute(std::string_view path) { return !path.empty() && path[0] == '/'; }

// A trailing "/" or "/." says "into this directory" and must survive cleaning.
std::string KeepTrailing(std::string path, std::string_view original) {
  if (original.ends_with("/") && !path.ends_with("/")) return path + "/";
  if (original.ends_with("/.")) {
    if (path != "/") path += "/";
    path += ".";
  }
  return path;
}

std::string NormalizePath(const std::string& parent, const std::string& path, bool keep_slash) {
  std::string clean = CleanPath(path);
  if (!IsAbsolute(clean)) clean = CleanPath(StrCat("/", parent, "/", clean));
  return keep_slash ? KeepTrailing(std::move(clean), path) : clean;
}

std::string SourcePath(const Copy& copy) {
  const std::string clean = CleanPath(copy.src);
  if (IsAbsolute(clean)) return CleanPath("/" + clean);
  return CleanPath(StrCat(copy.from.meta().dir, "/", clean));
}

UserOpt ParseUser(std::string_view text) {
  if (text == "root") return {};
  std::string_view digits = text;
  if (digits.starts_with("+")) digits.remove_prefix(1);
  int32_t id = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, id);
  const bool number = !digits.empty() && error == std::errc() && rest == end &&
                      !(digits.size() != text.size() && digits[0] == '-');
  if (!number) return {0, std::string(text)};
  return {static_cast<uint32_t>(id), ""};
}

void WriteUser(const UserOpt& user, int64_t base, pb::UserOpt* out) {
  if (user.name.empty()) {
    out->set_byid(user.id);
    return;
  }
  out->mutable_byname()->set_name(user.name);
  out->mutable_byname()->set_input(base);
}

template <typename Action>
void WriteOwner(const std::optional<ChownOpt>& owner, int64_t base, Action* out) {
  if (!owner) return;
  pb::ChownOpt* chown = out->mutable_owner();
  if (owner->user) WriteUser(*owner->user, base, chown->mutable_user());
  if (owner->group) WriteUser(*owner->group, base, chown->mutable_group());
}

int64_t Nanos(Time time) { return time.set() ? time.nanos : -1; }

// Writes one action; `dir` resolves relative paths, `base` names the input that holds users.
struct ActionWriter {
  const std::string& dir;
  int64_t base;
  pb::FileAction* out;

  void operator()(const Mkdir& action) const {
    pb::FileActionMkDir* mkdir = out->mutable_mkdir();
    mkdir->set_path(NormalizePath(dir, action.path, false));
    mkdir->set_mode(action.mode & 0777);
    mkdir->set_makeparents(action.make_parents);
    WriteOwner(action.owner, base, mkdir);
    mkdir->set_timestamp(Nanos(action.created));
  }
  void operator()(const Mkfile& action) const {
    pb::FileActionMkFile* mkfile = out->mutable_mkfile();
    mkfile->set_path(NormalizePath(dir, action.path, false));
    mkfile->set_mode(action.mode & 0777);
    mkfile->set_data(action.data);
    WriteOwner(action.owner, base, mkfile);
    mkfile->set_timestamp(Nanos(action.created));
  }
  void operator()(const Symlink& action) const {
    pb::FileActionSymlink* symlink = out->mutable_symlink();
    symlink->set_oldpath(action.old_path);
    symlink->set_newpath(action.new_path);
    WriteOwner(action.owner, base, symlink);
    symlink->set_timestamp(Nanos(action.created));
  }
  void operator()(const Rm& action) const {
    pb::FileActionRm* rm = out->mutable_rm();
    rm->set_path(NormalizePath(dir, action.path, false));
    rm->set_allownotfound(action.allow_not_found);
    rm->set_allowwildcard(action.allow_wildcard);
  }
  void operator()(const Copy& action) const {
    pb::FileActionCopy* copy = out->mutable_copy();
    copy->set_src(SourcePath(action));
    copy->set_dest(NormalizePath(dir, action.dest, true));
    WriteOwner(action.owner, base, copy);
    copy->set_mode(action.mode ? action.mode->mode : -1);
    if (action.mode && !action.mode->text.empty()) {
      copy->set_mode(0);
      copy->set_modestr(action.mode->text);
    }
    copy->set_followsymlink(action.follow_symlinks);
    copy->set_dircopycontents(action.copy_dir_contents_only);
    copy->set_attemptunpackdockercompatibility(action.attempt_unpack);
    copy->set_createdestpath(action.create_dest_path);
    copy->set_allowwildcard(action.allow_wildcard);
    copy->set_allowemptywildcard(action.allow_empty_wildcard);
    copy->set_alwaysreplaceexistingdestpaths(action.always_replace_existing);
    copy->set_timestamp(Nanos(action.created));
    for (const std::string& pattern : action.include_patterns) copy->add_include_patterns(pattern);
    for (const std::string& pattern : action.exclude_patterns) copy->add_exclude_patterns(pattern);
    for (const std::string& path : action.required_paths) copy->add_required_paths(path);
  }
};

class FileNode : public Node {
 public:
  FileNode(const State& on, FileActions actions, Constraints constraints)
      : on_(on.output()),
        dir_(on.meta().dir),
        actions_(std::move(actions.actions)),
        constraints_(std::move(constraints)) {
    constraints_.Need(kCapFileBase);
  }
  ~FileNode() override {
    std::vector<Output> released;
    ReleaseInputs(&released);
    ReleaseOutputs(std::move(released));
  }

  std::vector<Output> Inputs() const override {
    std::vector<Output> inputs;
    if (on_.node != nullptr) inputs.push_back(on_);
    // Sources of later actions are visited first: the order of ops depends on it.
    for (auto action = actions_.rbegin(); action != actions_.rend(); ++action) {
      const Copy* copy = std::get_if<Copy>(&*action);
      if (copy != nullptr && !copy->from.scratch()) inputs.push_back(copy->from.output());
    }
    return inputs;
  }
  void ReleaseInputs(std::vector<Output>* released) override {
    released->push_back(std::move(on_));
    for (FileAction& action : actions_) {
      if (Copy* copy = std::get_if<Copy>(&action)) {
        released->push_back(copy->from.output());
        copy->from = State();
      }
    }
  }

  StatusOr<MarshalledNode> Marshal(const Marshaller& marshaller) const override {
    if (actions_.empty()) return UnknownError("action is required");
    MarshalledNode out;
    pb::Op op = marshaller.NewOp(constraints_, &out.metadata);
    op.clear_platform();
    int64_t base = -1;
    if (on_.node != nullptr) {
      ASSIGN_OR_RETURN(const pb::Input input, marshaller.ToInput(on_));
      base = AddInput(input, &op);
    }
    std::vector<int64_t> secondary;
    for (const FileAction& action : actions_) {
      const Copy* copy = std::get_if<Copy>(&action);
      secondary.push_back(-1);
      if (copy == nullptr || copy->from.scratch()) continue;
      ASSIGN_OR_RETURN(const pb::Input input, marshaller.ToInput(copy->from.output()));
      secondary.back() = AddInput(input, &op);
    }
    const int64_t inputs = op.inputs_size();
    for (size_t i = 0; i < actions_.size(); ++i) {
      pb::FileAction* action = op.mutable_file()->add_actions();
      action->set_input(i == 0 ? base : inputs + static_cast<int64_t>(i) - 1);
      action->set_secondaryinput(secondary[i]);
      action->set_output(i + 1 == actions_.size() ? 0 : -1);
      std::visit(ActionWriter{dir_, base, action}, actions_[i]);
    }
    out.bytes = MarshalDeterministic(op);
    out.locations = constraints_.locations;
    return out;
  }

 private:
  Output on_;
  std::string dir_;
  std::vector<FileAction> actions_;
  Constraints constraints_;
};

}  // namespace

ChownOpt ParseChown(std::string_view text) {
  ChownOpt owner;
  std::string_view user, group;
  const bool has_group = StrCut(text, ":", &user, &group);
  owner.user = ParseUser(user);
  if (has_group) owner.group = ParseUser(group);
  return owner;
}

State State::File(FileActions actions, Constraints constraints) const {
  return WithOutput({std::make_shared<FileNode>(*this, std::move(actions), std::move(constraints))});
}

}  // namespace kiln::llb
