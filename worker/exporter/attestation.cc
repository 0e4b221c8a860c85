// Reading and unbundling; see attestation.h.
#include "worker/exporter/attestation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/go_json.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "cache/mount.h"

namespace kiln::worker {
namespace {

using Json = nlohmann::json;

// As on the wire.
constexpr int kInToto = 0, kBundle = 1;
constexpr int kSubjectSelf = 0, kSubjectRaw = 1;
constexpr size_t kMaxBytes = 40 << 20;
constexpr std::string_view kProvenance = "https://slsa.dev/provenance/";
constexpr std::string_view kSbomCore = "sbom-core";

Status Check(const ExportAttestation& attestation) {
  if (attestation.kind != kBundle && attestation.path.empty()) {
    return UnknownError("attestation does not have set path");
  }
  if (attestation.ref.empty() && !attestation.content) {
    return UnknownError("attestation does not have available content");
  }
  return OkStatus();
}

// A mounted tree that is read from.
struct MountedTree {
  cache::LocalMount mount;
  RootedTree tree;
  static StatusOr<MountedTree> Open(const cache::Ref& ref, const std::string& temp_dir,
                                    std::stop_token stop) {
    ASSIGN_OR_RETURN(cache::MountLease lease, ref.Mount(true, std::move(stop)));
    ASSIGN_OR_RETURN(auto mount, cache::LocalMount::Open(std::move(lease), temp_dir));
    ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(mount.path()));
    return MountedTree{std::move(mount), std::move(tree)};
  }
};

StatusOr<std::string> ReadRegularFile(const RootedTree& tree, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd file, tree.OpenAt(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat st = {};
  if (::fstat(file.get(), &st) != 0) return ErrnoStatus(errno, StrCat("stat ", path));
  if (!S_ISREG(st.st_mode)) return UnknownError(StrCat(path, " is not a regular file"));
  std::string bytes;
  char buffer[64 << 10];
  while (true) {
    ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("read ", path));
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > kMaxBytes) {
      return UnknownError(StrCat(path, " exceeds ", kMaxBytes, " bytes"));
    }
  }
}

std::string TextOf(const Json& object, const char* key) {
  auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

std::vector<ExportAttestation::Subject> SubjectsOf(const Json& statement) {
  std::vector<ExportAttestation::Subject> subjects;
  auto list = statement.find("subject");
  if (list == statement.end() || !list->is_array()) return subjects;
  for (const Json& item : *list) {
    ExportAttestation::Subject subject{kSubjectRaw, TextOf(item, "name"), {}};
    auto digests = item.find("digest");
    if (digests != item.end() && digests->is_object()) {
      for (const auto& [algorithm, value] : digests->items()) {
        if (value.is_string()) {
          subject.digests.push_back(StrCat(algorithm, ":", value.get<std::string>()));
        }
      }
    }
    subjects.push_back(std::move(subject));
  }
  return subjects;
}

StatusOr<AttestedPredicate> DecodeStatement(const std::string& bytes,
                                            const ExportAttestation& bundle,
                                            const std::string& name) {
  Json statement = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (statement.is_discarded() || !statement.is_object()) {
    return UnknownError("cannot decode in-toto statement: invalid JSON");
  }
  AttestedPredicate out;
  out.metadata = bundle.metadata;
  out.path = CleanPath(JoinPath(bundle.path, name));
  if (bundle.path.empty()) out.path = name;
  out.predicate_type = TextOf(statement, "predicateType");
  if (!bundle.in_toto_predicate_type.empty() &&
      out.predicate_type != bundle.in_toto_predicate_type) {
    return UnknownError(StrCat("bundle entry ", out.predicate_type,
                               " does not match required predicate type ",
                               bundle.in_toto_predicate_type));
  }
  if (out.predicate_type.starts_with(kProvenance)) {
    return UnknownError("frontend may not bundle provenance attestations");
  }
  out.subjects = SubjectsOf(statement);
  auto predicate = statement.find("predicate");
  if (predicate != statement.end()) {
    ASSIGN_OR_RETURN(out.predicate, GoJsonSorted(predicate->dump()));
  }
  return out;
}

Status AddBundle(const ExportAttestation& bundle, const std::string& temp_dir,
                 std::stop_token stop, std::vector<AttestedPredicate>* out) {
  if (bundle.content) return UnknownError("attestation bundle cannot have callback");
  ASSIGN_OR_RETURN(MountedTree mounted, MountedTree::Open(bundle.ref, temp_dir, std::move(stop)));
  ASSIGN_OR_RETURN(std::string folder, mounted.tree.Resolve(bundle.path, /*missing_ok=*/true));
  ASSIGN_OR_RETURN(UniqueFd dir, mounted.tree.OpenAt(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<std::string> names;
  RETURN_IF_ERROR(WalkTree(dir.get(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    names.push_back(entry.name);
    return WalkStep::kSkipDir;
  }));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(std::string bytes, ReadRegularFile(mounted.tree, JoinPath(folder, name)));
    ASSIGN_OR_RETURN(AttestedPredicate entry, DecodeStatement(bytes, bundle, name));
    out->push_back(std::move(entry));
  }
  return OkStatus();
}

Status AddInToto(const ExportAttestation& in, const std::string& temp_dir, std::stop_token stop,
                 std::vector<AttestedPredicate>* out) {
  AttestedPredicate attested{in.metadata, in.path, in.in_toto_predicate_type, in.subjects, ""};
  if (attested.predicate_type.starts_with(kProvenance) && !in.content) {
    return UnknownError("frontend may not set provenance attestations");
  }
  if (in.content) {
    ASSIGN_OR_RETURN(attested.predicate, in.content());
  } else {
    ASSIGN_OR_RETURN(MountedTree mounted, MountedTree::Open(in.ref, temp_dir, std::move(stop)));
    StatusOr<std::string> bytes = ReadRegularFile(mounted.tree, in.path);
    if (!bytes.ok()) return Annotate(bytes.status(), "cannot read in-toto attestation");
    attested.predicate = *std::move(bytes);
  }
  out->push_back(std::move(attested));
  return OkStatus();
}

bool IsCore(const AttestedPredicate& attested) {
  auto core = attested.metadata.find(std::string(kSbomCore));
  return core != attested.metadata.end() &&
         attested.path.substr(0, attested.path.find('.')) == core->second;
}

std::string SubjectJson(const StatementSubject& subject) {
  GoJsonObject digest, out;
  for (const auto& [algorithm, value] : subject.digest) digest.String(algorithm, value);
  out.String("name", subject.name);
  out.Raw("digest", digest.Finish());
  return out.Finish();
}

}  // namespace

bool InlineOnly(const ExportAttestation& attestation) {
  auto flag = attestation.metadata.find("inline-only");
  return flag != attestation.metadata.end() && flag->second == "true";
}

StatusOr<std::vector<AttestedPredicate>> Unbundle(
    const std::vector<const ExportAttestation*>& attestations, const std::string& temp_dir,
    std::stop_token stop) {
  std::vector<AttestedPredicate> out;
  for (const ExportAttestation* attestation : attestations) {
    RETURN_IF_ERROR(Check(*attestation));
  }
  for (const ExportAttestation* attestation : attestations) {
    if (attestation->kind == kBundle) {
      RETURN_IF_ERROR(AddBundle(*attestation, temp_dir, stop, &out));
    } else if (attestation->kind == kInToto) {
      RETURN_IF_ERROR(AddInToto(*attestation, temp_dir, stop, &out));
    }
  }
  std::stable_partition(out.begin(), out.end(), IsCore);
  return out;
}

StatusOr<std::string> StatementJson(const AttestedPredicate& attested,
                                    const std::vector<StatementSubject>& self) {
  std::vector<ExportAttestation::Subject> subjects = attested.subjects;
  if (subjects.empty()) subjects.push_back({kSubjectSelf, "", {}});
  std::vector<std::string> items;
  for (const auto& subject : subjects) {
    bool named = !subject.name.empty() && subject.name != "_";
    if (subject.kind == kSubjectSelf) {
      for (const StatementSubject& own : self) {
        items.push_back(SubjectJson(own));
        if (named) items.push_back(SubjectJson({subject.name, own.digest}));
      }
    } else if (subject.kind == kSubjectRaw) {
      StatementSubject raw{named ? subject.name : "_", {}};
      for (const std::string& digest : subject.digests) {
        std::string_view algorithm, value;
        if (StrCut(digest, ":", &algorithm, &value)) raw.digest[std::string(algorithm)] = value;
      }
      items.push_back(SubjectJson(raw));
    } else {
      return UnknownError(StrCat("unknown attestation subject type ", subject.kind));
    }
  }
  StatusOr<std::string> predicate = GoJsonCompact(attested.predicate);
  if (!predicate.ok()) {
    return Annotate(predicate.status(), "failed to marshal attestation");
  }
  GoJsonObject out;
  out.String("_type", "https://in-toto.io/Statement/v1");
  out.String("predicateType", attested.predicate_type);
  out.Raw("subject", StrCat("[", StrJoin(items, ","), "]"));
  out.Raw("predicate", *predicate);
  return out.Finish();
}

}  // namespace kiln::worker
