#include "worker/source/git/git_bundle.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/strings.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kBlob = "+blob";
// A bundle needs a name for its commit; that of nobody in particular.
constexpr std::string_view kFallbackRef = "refs/heads/main";

Status Download(const GitShared& shared, const GitIdentifier& id, const std::string& path,
                solver::JobContext& context) {
  ASSIGN_OR_RETURN(BlobQuery query, ParseBundleLocator(id.bundle));
  if (query.scheme == "oci-layout") {
    query.session = id.bundle_session;
    if (!id.bundle_store.empty()) query.store = id.bundle_store;
  }
  query.sessions = context.Sessions();
  if (!shared.read_blob) return UnimplementedError("git.bundle is not supported");
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  Sha256 hash;
  Status read = shared.read_blob(query, [&](std::string_view bytes) -> Status {
    if (context.stop().stop_requested()) return CancelledError("context canceled");
    hash.Update(bytes);
    return WriteAll(file.get(), bytes);
  });
  if (!read.ok()) return Annotate(read, StrCat("failed to fetch git bundle ", query.ref));
  if (const Digest got = hash.Finish(); got != query.digest) {
    return DataLossError(
        StrCat("expected checksum to match ", query.digest.text(), ", got ", got.text()));
  }
  return OkStatus();
}

// git reads a bundle without a repository: what its objects are called tells the format.
StatusOr<bool> HasSha256(const GitCli& git, const std::string& path) {
  const std::string what = StrCat("failed to inspect git bundle ", path);
  StatusOr<std::string> refs = git.Run({"ls-remote", "--", path});
  if (!refs.ok()) return Annotate(refs.status(), what);
  std::string_view first = std::string_view(*refs).substr(0, refs->find('\n'));
  if (first.empty()) return DataLossError(StrCat(what, ": no refs found"));
  first = first.substr(0, first.find('\t'));
  if (!IsCommitSha(first)) {
    return DataLossError(StrCat(what, ": invalid object ID ", Quote(first)));
  }
  return first.size() == 64;
}

Status InitBare(const GitCli& git, bool sha256) {
  RETURN_IF_ERROR(MakeDirs(git.git_dir, 0700));
  std::vector<std::string> init = {"-c", "init.defaultBranch=master", "init", "--bare"};
  if (sha256) init.emplace_back("--object-format=sha256");
  return git.Run(init).status();
}

}  // namespace

StatusOr<BlobQuery> ParseBundleLocator(std::string_view text) {
  std::string_view scheme, body;
  const std::string failed = StrCat("failed to parse git.bundle locator ", Quote(text));
  if (!StrCut(text, "://", &scheme, &body)) {
    return InvalidArgumentError(StrCat(failed, ": missing scheme"));
  }
  if (scheme != "docker-image+blob" && scheme != "oci-layout+blob") {
    return InvalidArgumentError(
        StrCat("git.bundle locator scheme ", Quote(scheme), " is not supported; expected ",
               Quote("docker-image+blob"), " or ", Quote("oci-layout+blob")));
  }
  const size_t at = body.rfind('@');
  StatusOr<Digest> digest =
      Digest::Parse(at == std::string_view::npos ? std::string_view() : body.substr(at + 1));
  if (!digest.ok()) return Annotate(digest.status(), StrCat(failed, ": invalid digest"));
  if (digest->algorithm() != "sha256") {
    return InvalidArgumentError(StrCat("git.bundle locator ", Quote(text), ": digest algorithm ",
                                       Quote(digest->algorithm()), " not supported, expected ",
                                       Quote("sha256")));
  }
  return BlobQuery{.scheme = std::string(TrimSuffix(scheme, kBlob)),
                   .ref = std::string(body),
                   .digest = *digest,
                   .store = std::string(body.substr(0, at))};
}

Status CheckBundleAttributes(const GitIdentifier& id) {
  if (!id.bundle.empty()) {
    RETURN_IF_ERROR(ParseBundleLocator(id.bundle).status());
    if (id.checksum.empty()) {
      return InvalidArgumentError("git.bundle requires git.checksum to be set");
    }
    if (IsCommitSha(id.ref) && !id.ref.starts_with(id.checksum)) {
      return DataLossError(StrCat("expected checksum to match ", id.checksum, ", got ", id.ref));
    }
  }
  if (id.checkout_bundle && id.keep_git_dir) {
    return InvalidArgumentError("git.checkoutbundle is incompatible with git.keepgitdir");
  }
  if (id.checkout_bundle && !id.subdir.empty()) {
    return InvalidArgumentError("git.checkoutbundle is incompatible with git.subdir");
  }
  return OkStatus();
}

std::string BundleRef(std::string_view ref) {
  if (ref.empty() || IsCommitSha(ref)) return std::string(kFallbackRef);
  if (ref.starts_with("refs/tags/")) return std::string(ref);
  return StrCat("refs/heads/", TrimPrefix(TrimPrefix(ref, "refs/"), "heads/"));
}

StatusOr<std::shared_ptr<const StagedBundle>> StagedBundle::Open(const GitShared& shared,
                                                                 const GitIdentifier& id,
                                                                 solver::JobContext& context) {
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(shared.temp_dir, "bundle-"));
  std::shared_ptr<StagedBundle> staged(new StagedBundle(TempDir(path)));
  const std::string file = JoinPath(path, "bundle.pack");
  RETURN_IF_ERROR(Download(shared, id, file, context));
  GitCli git;
  git.stop = context.stop();
  ASSIGN_OR_RETURN(staged->sha256_, HasSha256(git, file));
  staged->repository_ = JoinPath(path, "repo.git");
  git.git_dir = staged->repository_;
  RETURN_IF_ERROR(InitBare(git, staged->sha256_));
  Status imported = git.Run({"fetch", file, "+refs/*:refs/*"}).status();
  if (!imported.ok()) {
    return Annotate(imported, StrCat("failed to import git bundle ", id.bundle, " into temp"));
  }
  if (!git.Run({"cat-file", "-e", id.checksum + "^{commit}"}).ok()) {
    return NotFoundError(StrCat("commit ", id.checksum, " not found in bundle ", id.bundle));
  }
  return std::shared_ptr<const StagedBundle>(std::move(staged));
}

Status WriteBundle(const GitCli& clone, const std::string& commit, const std::string& ref,
                   const std::string& temp_dir, const std::string& target) {
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir, "bundle-"));
  TempDir remove(path);
  GitCli git = clone;
  git.git_dir = JoinPath(path, "repo.git");
  RETURN_IF_ERROR(InitBare(git, commit.size() == 64));
  Status fetched = git.Run({"fetch", StrCat("file://", clone.git_dir), "--", commit}).status();
  if (!fetched.ok()) {
    return Annotate(fetched, StrCat("failed to fetch commit ", commit,
                                    " from shared repo for bundle creation"));
  }
  const std::string name = BundleRef(ref);
  RETURN_IF_ERROR(git.Run({"update-ref", name, commit}).status());
  const std::string file = JoinPath(target, "bundle");
  Status made = git.Run({"bundle", "create", file, name}).status();
  return made.ok() ? made : Annotate(made, StrCat("failed to create git bundle for ", commit));
}

}  // namespace kiln::worker
