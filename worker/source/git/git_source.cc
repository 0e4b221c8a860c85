#include "worker/source/git/git_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/file.h"
#include "base/process.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "llb/git_ref.h"
#include "worker/source/git/git_access.h"
#include "worker/source/git/git_bundle.h"
#include "worker/source/signature/verify.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kKeyRemote = "git-remote";
constexpr std::string_view kKeySnapshot = "git-snapshot";

// A mounted growing record.
struct Workspace {
  cache::MutableRef ref;
  std::optional<cache::LocalMount> mount;
  Status Mount(const std::string& temp_dir, std::stop_token stop) {
    ASSIGN_OR_RETURN(cache::MountLease lease, ref.Mount(false, std::move(stop)));
    ASSIGN_OR_RETURN(mount, cache::LocalMount::Open(std::move(lease), temp_dir));
    return OkStatus();
  }
};

class GitInstance : public SourceInstance {
 public:
  GitInstance(std::shared_ptr<GitShared> shared, GitIdentifier id)
      : shared_(std::move(shared)), id_(std::move(id)) {}

  StatusOr<Key> CacheKey(int, solver::JobContext& context) override {
    ASSIGN_OR_RETURN(GitResolved found, Resolve(context));
    RETURN_IF_ERROR(CheckSignature(found, context));
    const bool peel = !found.tagged_commit.empty() && !id_.keep_git_dir;
    return Key{KeyOf(found), true, peel ? found.tagged_commit : found.commit,
               id_.ref.empty() ? id_.remote : StrCat(id_.remote, "#", id_.ref)};
  }

  StatusOr<cache::Ref> Snapshot(solver::JobContext& context) override {
    ASSIGN_OR_RETURN(GitResolved found, Resolve(context));
    const std::string snapshot_key = StrCat(id_.remote, "#", KeyOf(found));
    auto lock = shared_->locks.Lock(id_.remote);
    ASSIGN_OR_RETURN(std::vector<std::string> ids, shared_->refs.Find(kKeySnapshot, snapshot_key));
    for (const std::string& id : ids) {
      StatusOr<cache::Ref> ref = shared_->refs.Get(id);
      if (ref.ok()) return ref;
    }
    StatusOr<cache::Ref> ref = cache::Ref();
    RETURN_IF_ERROR(WithFetched(found, context, [&](const GitCli& clone, const std::string& name) {
      ref = Checkout(clone, name, found, context);
      return ref.ok() ? OkStatus() : ref.status();
    }));
    RETURN_IF_ERROR(ref->SetMetadata(kKeySnapshot, snapshot_key, true));
    return ref;
  }

  StatusOr<SourceMetadata> Metadata(const MetadataRequest& request,
                                    solver::JobContext& context) override {
    ASSIGN_OR_RETURN(GitResolved found, Resolve(context));
    SourceMetadata meta;
    meta.git_checksum = found.commit;
    meta.git_ref = found.ref;
    if (!id_.keep_git_dir) meta.git_commit_checksum = found.tagged_commit;
    if (!request.git_objects && !id_.check_signature) return meta;
    RETURN_IF_ERROR(FetchObjects(found, context, &meta));
    RETURN_IF_ERROR(VerifySignature(meta));
    return meta;
  }

 private:
  Status FetchObjects(const GitResolved& found, solver::JobContext& context, SourceMetadata* meta) {
    auto lock = shared_->locks.Lock(id_.remote);
    return WithFetched(found, context, [&](const GitCli& clone, const std::string&) {
      return ReadObjects(clone, meta);
    });
  }

  Status CheckSignature(const GitResolved& found, solver::JobContext& context) {
    if (!id_.check_signature) return OkStatus();
    SourceMetadata meta;
    meta.git_checksum = found.commit;
    meta.git_commit_checksum = found.tagged_commit;
    RETURN_IF_ERROR(FetchObjects(found, context, &meta));
    return VerifySignature(meta);
  }

  // The tag's signature if it has a good one, else the commit's.
  Status VerifySignature(const SourceMetadata& meta) const {
    if (!id_.check_signature) return OkStatus();
    const SignaturePolicy policy{.reject_expired = id_.reject_expired};
    Status tag = UnknownError("signed tag required but no signed tag found");
    if (!id_.ignore_signed_tag && !meta.git_tag_object.empty()) {
      tag = VerifyGitObject(meta.git_tag_object, id_.signature_keys, policy, shared_->temp_dir);
      if (tag.ok()) return tag;
    }
    if (id_.require_signed_tag) return tag;
    return VerifyGitObject(meta.git_commit_object, id_.signature_keys, policy, shared_->temp_dir);
  }

  static Status ReadObjects(const GitCli& git, SourceMetadata* meta) {
    ASSIGN_OR_RETURN(std::string type, git.RunLine({"cat-file", "-t", meta->git_checksum}));
    if (type != "commit" && type != "tag") {
      return UnknownError(StrCat("expected commit or tag object, got ", type));
    }
    if (type == "commit") meta->git_commit_checksum.clear();
    if (type == "tag" && meta->git_commit_checksum.empty()) {
      ASSIGN_OR_RETURN(meta->git_commit_checksum,
                       git.RunLine({"rev-parse", meta->git_checksum + "^{commit}"}));
    }
    std::string commit = meta->git_checksum;
    if (type == "tag") {
      ASSIGN_OR_RETURN(meta->git_tag_object, git.Run({"cat-file", "tag", meta->git_checksum}));
      commit = meta->git_commit_checksum;
    }
    ASSIGN_OR_RETURN(meta->git_commit_object, git.Run({"cat-file", "commit", commit}));
    return OkStatus();
  }

  std::string KeyOf(const GitResolved& found) const {
    const bool peel = !found.tagged_commit.empty() && !id_.keep_git_dir;
    return id_.Key(peel ? found.tagged_commit : found.commit, found.ref);
  }

  StatusOr<GitResolved> Resolve(solver::JobContext& context) {
    RETURN_IF_ERROR(CheckChecksum());
    if (!id_.bundle.empty()) return ResolveInBundle(context);
    if (IsCommitSha(id_.ref)) {
      if (!id_.ref.starts_with(id_.checksum)) {
        return DataLossError(
            StrCat("expected checksum to match ", id_.checksum, ", got ", id_.ref));
      }
      return GitResolved{id_.ref, id_.ref, ""};
    }
    if (id_.fetch_by_commit) return ResolveByCommit();
    ASSIGN_OR_RETURN(
        std::string text,
        context.Memo(StrCat("git:", id_.remote, "#", id_.ref), [&]() -> StatusOr<std::string> {
          GitAccess access(*shared_, id_);
          RETURN_IF_ERROR(access.Open(context));
          access.cli.log = [&](int stream, std::string_view bytes) {
            context.progress().Log(stream, bytes);
          };
          ASSIGN_OR_RETURN(std::string ref, RefOrDefault(access.cli));
          StatusOr<std::string> out =
              access.cli.Run({"ls-remote", "--", id_.remote, ref, ref + "^{}"});
          if (!out.ok()) return Annotate(out.status(), FetchError());
          ASSIGN_OR_RETURN(GitResolved found, PickRemoteRef(*out, ref));
          return StrCat(found.ref, "\n", found.commit, "\n", found.tagged_commit);
        }));
    std::vector<std::string_view> parts = StrSplit(text, '\n');
    return Checked({std::string(parts[0]), std::string(parts[1]), std::string(parts[2])});
  }

  // What was asked for, in the bundle as it would be at the remote.
  StatusOr<GitResolved> ResolveInBundle(solver::JobContext& context) {
    if (id_.ref.empty() || IsCommitSha(id_.ref)) {
      const std::string& commit = id_.ref.empty() ? id_.checksum : id_.ref;
      return GitResolved{commit, commit, ""};
    }
    RETURN_IF_ERROR(Stage(context));
    GitCli git;
    git.stop = context.stop();
    StatusOr<std::string> refs =
        git.Run({"ls-remote", "--", bundle_->url(), id_.ref, id_.ref + "^{}"});
    if (!refs.ok()) return Annotate(refs.status(), FetchError());
    ASSIGN_OR_RETURN(GitResolved found, PickRemoteRef(*refs, id_.ref));
    return Checked(std::move(found));
  }

  Status Stage(solver::JobContext& context) {
    if (bundle_ != nullptr) return OkStatus();
    ASSIGN_OR_RETURN(bundle_, StagedBundle::Open(*shared_, id_, context));
    return OkStatus();
  }

  StatusOr<GitResolved> Checked(GitResolved found) const {
    if (!found.commit.starts_with(id_.checksum) && !found.tagged_commit.starts_with(id_.checksum)) {
      return DataLossError(
          StrCat("expected checksum to match ", id_.checksum, ", got ",
                 found.tagged_commit.empty() ? found.commit : " or " + found.tagged_commit));
    }
    return found;
  }

  Status CheckChecksum() const {
    bool hex = std::all_of(id_.checksum.begin(), id_.checksum.end(),
                           [](unsigned char c) { return std::isxdigit(c) != 0; });
    return hex ? OkStatus()
               : InvalidArgumentError(StrCat("invalid checksum ", id_.checksum,
                                             " for Git URL, expected hex commit hash"));
  }

  // The name is not asked of the remote; one without a kind is taken for a branch.
  StatusOr<GitResolved> ResolveByCommit() const {
    if (id_.checksum.empty()) {
      return InvalidArgumentError("fetch-by-commit requires a checksum or a commit SHA ref");
    }
    if (!IsCommitSha(id_.checksum)) {
      return InvalidArgumentError(
          StrCat("fetch-by-commit requires a full commit SHA checksum, got ", Quote(id_.checksum)));
    }
    std::string ref = id_.ref.empty() ? id_.checksum : id_.ref;
    if (!id_.ref.empty() && !ref.starts_with("refs/")) ref = "refs/heads/" + ref;
    return GitResolved{ref, id_.checksum, ""};
  }

  std::string FetchError() const {
    return StrCat("failed to fetch remote ", RedactCredentials(id_.remote));
  }

  StatusOr<std::string> RefOrDefault(const GitCli& git) const {
    if (!id_.ref.empty()) return id_.ref;
    if (!id_.bundle.empty()) return id_.checksum;
    StatusOr<std::string> out = git.Run({"ls-remote", "--symref", "--", id_.remote, "HEAD"});
    if (!out.ok()) {
      return Annotate(out.status(), StrCat("error fetching default branch for repository ",
                                           RedactCredentials(id_.remote)));
    }
    for (std::string_view line : StrSplit(*out, '\n')) {
      if (!line.starts_with("ref:")) continue;
      std::string_view name, head;
      if (StrCut(TrimSpace(line.substr(4)), "\t", &name, &head)) return std::string(name);
    }
    return NotFoundError(
        StrCat("could not find default branch for repository: ", RedactCredentials(id_.remote)));
  }

  StatusOr<Workspace> OpenClone(const GitCli& access, size_t sha_size, bool reset,
                                solver::JobContext& context) {
    Workspace clone;
    ASSIGN_OR_RETURN(std::vector<std::string> ids, shared_->refs.Find(kKeyRemote, id_.remote));
    for (const std::string& id : ids) {
      StatusOr<cache::MutableRef> ref = shared_->refs.GetMutable(id);
      if (!ref.ok()) continue;
      if (reset) {
        RETURN_IF_ERROR(ref->SetMetadata(kKeyRemote, "", true));
        continue;
      }
      clone.ref = *std::move(ref);
      break;
    }
    const bool is_new = clone.ref.empty();
    if (is_new) {
      ASSIGN_OR_RETURN(
          clone.ref,
          shared_->refs.NewMutable(
              {}, {.description = StrCat("shared git repo for ", RedactCredentials(id_.remote)),
                   .retain = true}));
    }
    RETURN_IF_ERROR(clone.Mount(shared_->temp_dir, context.stop()));
    if (!is_new) return clone;
    GitCli git = access;
    git.git_dir = clone.mount->path();
    std::vector<std::string> init = {"-c", "init.defaultBranch=master", "init", "--bare"};
    if (sha_size == 64) init.emplace_back("--object-format=sha256");
    RETURN_IF_ERROR(git.Run(init).status());
    RETURN_IF_ERROR(git.Run({"remote", "add", "origin", id_.remote}).status());
    RETURN_IF_ERROR(clone.ref.SetMetadata(kKeyRemote, id_.remote, true));
    return clone;
  }

  using Use = std::function<Status(const GitCli& clone, const std::string& ref)>;

  // Runs `use` on the remote's clone, which has the commit then. Under the remote's lock.
  Status WithFetched(const GitResolved& found, solver::JobContext& context, const Use& use) {
    GitAccess access(*shared_, id_);
    RETURN_IF_ERROR(access.Open(context));
    Status status = Fetch(access.cli, found, false, context, use);
    if (Contains(status.message(), "would clobber existing tag") ||
        Contains(status.message(), "unable to update local ref")) {
      // Names of the remote have moved in a way that the clone cannot follow.
      status = Fetch(access.cli, found, true, context, use);
    }
    return status;
  }

  Status Fetch(const GitCli& access, const GitResolved& found, bool reset,
               solver::JobContext& context, const Use& use) {
    ASSIGN_OR_RETURN(Workspace clone, OpenClone(access, found.commit.size(), reset, context));
    GitCli git = access;
    git.git_dir = clone.mount->path();
    ASSIGN_OR_RETURN(std::string ref, RefOrDefault(access));
    if (id_.fetch_by_commit && id_.ref.empty()) ref = id_.checksum;
    std::string from = "origin";
    if (!id_.bundle.empty() && !git.Run({"cat-file", "-e", id_.checksum + "^{commit}"}).ok()) {
      RETURN_IF_ERROR(Stage(context));
      from = bundle_->url();
    }
    RETURN_IF_ERROR(FetchCommit(git, from, ref, found));
    RETURN_IF_ERROR(VerifyChecksum(git, ref));
    return use(git, ref);
  }

  Status VerifyChecksum(const GitCli& git, const std::string& ref) {
    if (id_.checksum.empty()) return OkStatus();
    const std::string what = id_.fetch_by_commit ? id_.checksum : ref;
    StatusOr<std::string> got = git.RunLine({"rev-parse", what});
    if (!got.ok()) {
      return Annotate(got.status(),
                      StrCat("failed to rev-parse ", what, " for ", RedactCredentials(id_.remote)));
    }
    if (got->starts_with(id_.checksum)) return OkStatus();
    StatusOr<std::string> peeled = git.RunLine({"rev-parse", what + "^{}"});
    if (peeled.ok() && peeled->starts_with(id_.checksum)) return OkStatus();
    std::string text = StrCat("expected checksum to match ", id_.checksum, ", got ", *got);
    if (peeled.ok() && *peeled != *got) text += " or " + *peeled;
    return DataLossError(text);
  }

  // Makes sure that the commit is in the clone, and that `ref` names it there.
  Status FetchCommit(const GitCli& git, const std::string& from, const std::string& ref,
                     const GitResolved& found) {
    const std::string what = id_.fetch_by_commit && !id_.checksum.empty() ? id_.checksum : ref;
    if (IsCommitSha(what) && git.Run({"cat-file", "-e", "--", what + "^{commit}"}).ok()) {
      return OkStatus();
    }
    ::unlink(JoinPath(git.git_dir, "shallow.lock").c_str());  // left by a crash
    const bool shallow = PathExists(JoinPath(git.git_dir, "shallow"));
    std::vector<std::string> args = {"fetch"};
    if (id_.fetch_by_commit || !IsCommitSha(what)) {
      args.insert(args.end(), {"--depth=1", "--no-tags"});
    } else {
      args.emplace_back("--tags");
      if (shallow) args.emplace_back("--unshallow");
    }
    args.push_back(from);
    const std::string local = ref.starts_with("refs/tags/") ? ref : "tags/" + ref;
    if (IsCommitSha(ref)) {
      args.push_back(ref);
    } else {
      args.insert(args.end(), {"--force", "--", StrCat(what, ":", local)});
    }
    StatusOr<std::string> fetched = git.Run(args);
    if (!fetched.ok()) return Annotate(fetched.status(), FetchError());
    ASSIGN_OR_RETURN(std::string got, git.RunLine({"rev-parse", what}));
    return got == found.commit ? OkStatus() : Pin(git, from, ref, local, shallow, found);
  }

  // The remote moved on since its refs were read: the key's commit it must be.
  Status Pin(const GitCli& git, const std::string& from, const std::string& ref,
             const std::string& local, bool shallow, const GitResolved& found) {
    if (!git.Run({"cat-file", "-e", found.commit}).ok()) {
      std::vector<std::string> args = {"fetch", "--tags"};
      if (shallow) args.emplace_back("--unshallow");
      args.insert(args.end(), {from, found.commit});
      StatusOr<std::string> fetched = git.Run(args);
      if (!fetched.ok()) return Annotate(fetched.status(), FetchError());
      RETURN_IF_ERROR(git.Run({"reflog", "expire", "--all", "--expire=now"}).status());
      if (!git.Run({"cat-file", "-e", found.commit}).ok()) {
        return DataLossError(StrCat("fetched ref ", ref, " does not match expected commit ",
                                    found.commit,
                                    " and commit can not be found in the repository"));
      }
    }
    const std::string full = local.starts_with("refs/") ? local : "refs/" + local;
    return git.Run({"update-ref", full, found.commit, "--no-deref"}).status();
  }

  StatusOr<cache::Ref> Checkout(const GitCli& clone, const std::string& ref,
                                const GitResolved& found, solver::JobContext& context) {
    Workspace work;
    ASSIGN_OR_RETURN(
        work.ref, shared_->refs.NewMutable(
                      {}, {.description =
                               StrCat("git snapshot for ", RedactCredentials(id_.remote), "#", ref),
                           .type = cache::RecordType::kGitCheckout}));
    RETURN_IF_ERROR(work.Mount(shared_->temp_dir, context.stop()));
    const std::string top = work.mount->path();
    if (id_.checkout_bundle) {
      // A branch names a commit, never a tag.
      const bool peel = !found.tagged_commit.empty() && !BundleRef(id_.ref).starts_with("refs/tags/");
      RETURN_IF_ERROR(WriteBundle(clone, peel ? found.tagged_commit : found.commit, id_.ref,
                                  shared_->temp_dir, top));
      work.mount.reset();
      return work.ref.Commit();
    }
    const std::string subdir = CleanPath("/" + id_.subdir);
    const bool whole = subdir == "/";
    std::string tree = top;
    if (!whole) {
      ASSIGN_OR_RETURN(tree, MakeTempDir(top, "checkout"));
    }
    GitCli git = clone;
    git.work_tree = tree;
    if (id_.keep_git_dir && whole) {
      RETURN_IF_ERROR(CloneInto(clone, ref, found.commit.size() == 64, &git));
    } else {
      Status status = git.Run({"checkout", "--no-overlay", found.commit, "--", "."}).status();
      if (!status.ok()) return Annotate(status, CheckoutError());
    }
    if (!id_.skip_submodules) {
      Status status =
          git.Run({"submodule", "update", "--init", "--recursive", "--depth=1"}).status();
      if (!status.ok()) {
        return Annotate(status,
                        StrCat("failed to update submodules for ", RedactCredentials(id_.remote)));
      }
    }
    if (!whole) {
      RETURN_IF_ERROR(MoveUp(tree, subdir, top));
    }
    if (id_.mtime == "commit") {
      RETURN_IF_ERROR(SetCommitTimes(clone, found.commit, top));
    }
    work.mount.reset();
    return work.ref.Commit();
  }

  std::string CheckoutError() const {
    return StrCat("failed to checkout remote ", RedactCredentials(id_.remote));
  }

  // A repository of its own in the checkout, with the one commit under its name.
  Status CloneInto(const GitCli& clone, const std::string& ref, bool sha256, GitCli* git) {
    git->git_dir = JoinPath(git->work_tree, ".git");
    std::vector<std::string> init = {"-c", "init.defaultBranch=master", "init"};
    if (sha256) init.emplace_back("--object-format=sha256");
    RETURN_IF_ERROR(git->Run(init).status());
    RETURN_IF_ERROR(
        git->Run({"remote", "add", "origin", StrCat("file://", clone.git_dir)}).status());
    const std::string what = id_.fetch_by_commit && !id_.checksum.empty() ? id_.checksum : ref;
    ASSIGN_OR_RETURN(std::string type, clone.RunLine({"cat-file", "-t", what}));
    std::string pull = StrCat(ref, ":", ref);
    if (type == "tag") {
      pull = StrCat(ref, ":", ref.starts_with("refs/tags/") ? ref : "refs/tags/" + ref);
    } else if (what != ref) {
      pull = StrCat(what, ":", ref);
    } else if (IsCommitSha(ref)) {
      pull = StrCat("refs/buildkit/", NewId());
      RETURN_IF_ERROR(clone.Run({"update-ref", pull, ref}).status());
    }
    RETURN_IF_ERROR(git->Run({"fetch", "-u", "--depth=1", "--", "origin", pull}).status());
    Status status = git->Run({"checkout", "FETCH_HEAD"}).status();
    if (!status.ok()) return Annotate(status, CheckoutError());
    RETURN_IF_ERROR(
        git->Run({"remote", "set-url", "origin", RedactCredentials(id_.remote)}).status());
    RETURN_IF_ERROR(git->Run({"reflog", "expire", "--all", "--expire=now"}).status());
    ::unlink(JoinPath(git->git_dir, "FETCH_HEAD").c_str());
    return OkStatus();
  }

  // Only real folders may be on the way: a link could name any place.
  static Status MoveUp(const std::string& from, const std::string& subdir, const std::string& to) {
    ASSIGN_OR_RETURN(UniqueFd dir, OpenFile(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (std::string_view part : StrSplit(std::string_view(subdir).substr(1), '/')) {
      std::string name(part);
      UniqueFd next(
          ::openat(dir.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!next.valid()) {
        return ErrnoStatus(errno, StrCat("invalid subdir ", subdir.substr(1), ": failed to lstat ",
                                         Quote(name), ": statat ", name));
      }
      dir = std::move(next);
    }
    ASSIGN_OR_RETURN(UniqueFd target, OpenFile(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSIGN_OR_RETURN(std::vector<std::string> names, ListDir(StrCat("/proc/self/fd/", dir.get())));
    for (const std::string& name : names) {
      if (::renameat(dir.get(), name.c_str(), target.get(), name.c_str()) != 0) {
        return ErrnoStatus(errno, StrCat("rename ", name));
      }
    }
    return RemoveAll(from);
  }

  static Status SetCommitTimes(const GitCli& git, const std::string& commit,
                               const std::string& top) {
    ASSIGN_OR_RETURN(std::string text,
                     git.RunLine({"log", "-1", "--format=%ct", commit + "^{commit}"}));
    int64_t seconds = 0;
    if (!ParseInt64(text, &seconds)) {
      return InternalError(StrCat("failed to parse commit timestamp ", Quote(text)));
    }
    timespec time = {seconds, 0};
    timespec times[2] = {time, time};
    ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(top));
    RETURN_IF_ERROR(WalkTree(tree.fd(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
      ::utimensat(entry.dir, entry.name.c_str(), times, AT_SYMLINK_NOFOLLOW);
      return WalkStep::kContinue;
    }));
    ::utimensat(AT_FDCWD, top.c_str(), times, 0);
    return OkStatus();
  }

  std::shared_ptr<GitShared> shared_;
  GitIdentifier id_;
  std::shared_ptr<const StagedBundle> bundle_;  // once it was needed
};

class GitSource : public Source {
 public:
  GitSource(cache::RefStore& refs, SessionTable& sessions, std::string temp_dir,
            ReadBlob read_blob)
      : shared_(new GitShared{refs, sessions, std::move(temp_dir), {}, std::move(read_blob)}) {}
  std::vector<std::string> schemes() const override { return {"git"}; }
  StatusOr<std::unique_ptr<SourceInstance>> Resolve(std::string_view, std::string_view reference,
                                                    const std::map<std::string, std::string>& attrs,
                                                    const std::optional<Platform>&) override {
    std::string text(reference);
    if (!llb::IsGitTransport(text)) text = "https://" + text;
    ASSIGN_OR_RETURN(llb::GitUrl url, llb::ParseGitUrl(text));
    GitIdentifier id;
    id.remote = url.remote;
    id.ref = url.ref;
    id.subdir = url.subdir;
    for (const auto& [key, value] : attrs) {
      RETURN_IF_ERROR(ParseGitAttribute(key, value, &id));
    }
    // Would be read as an option.
    if (id.ref.starts_with('-') || id.remote.starts_with('-')) {
      return InvalidArgumentError(
          StrCat("invalid git ref: ", id.ref, " cannot start with a \"-\""));
    }
    RETURN_IF_ERROR(CheckBundleAttributes(id));
    return std::unique_ptr<SourceInstance>(std::make_unique<GitInstance>(shared_, std::move(id)));
  }

 private:
  std::shared_ptr<GitShared> shared_;
};

}  // namespace

StatusOr<GitResolved> PickRemoteRef(std::string_view ls_remote, std::string_view ref) {
  const std::string partial = StrCat("refs/", TrimPrefix(ref, "refs/"));
  const std::string head = StrCat("refs/heads/", TrimPrefix(ref, "refs/heads/"));
  const std::string tag = StrCat("refs/tags/", TrimPrefix(ref, "refs/tags/"));
  std::map<std::string, std::string> commits;  // by full name
  for (std::string_view line : StrSplit(ls_remote, '\n')) {
    std::string_view commit, name;
    if (StrCut(line, "\t", &commit, &name)) commits[std::string(name)] = std::string(commit);
  }
  GitResolved found;
  // git checkout, too, prefers a branch to a tag of its name. A full name is tried by its kind
  // first.
  const std::string order[] = {partial != head && partial != tag ? partial : head, head, tag};
  for (const std::string& name : order) {
    auto entry = commits.find(name);
    if (entry == commits.end()) continue;
    found.ref = name;
    found.commit = entry->second;
    break;
  }
  if (found.commit.empty()) {
    return NotFoundError(
        StrCat("repository does not contain ref ", ref, ", output: ", Quote(ls_remote)));
  }
  if (found.ref == tag) found.tagged_commit = commits[tag + "^{}"];
  if (!IsCommitSha(found.commit)) {
    return UnknownError(StrCat("invalid commit sha ", Quote(found.commit)));
  }
  return found;
}

std::unique_ptr<Source> MakeGitSource(cache::RefStore& refs, SessionTable& sessions,
                                      std::string temp_dir, ReadBlob read_blob) {
  if (!LookPath("git").ok()) return nullptr;
  return std::make_unique<GitSource>(refs, sessions, std::move(temp_dir), std::move(read_blob));
}

}  // namespace kiln::worker
