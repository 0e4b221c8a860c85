#include "worker/source/local/local_source.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/go_json.h"
#include "base/log.h"
#include "base/strings.h"
#include "cache/contenthash/content_hash.h"
#include "cache/mount.h"

namespace kiln::worker {
namespace {

using nlohmann::ordered_json;
// As the reference's JSON: an attribute that was not given is null in the key.
using Patterns = std::optional<std::vector<std::string>>;

constexpr std::string_view kSharedKey = "local.sharedKey";
constexpr std::chrono::seconds kSessionWait{5};
constexpr std::chrono::milliseconds kProgressInterval{100};

struct LocalIdentifier {
  std::string name;
  std::string session_id;
  Patterns include;
  Patterns exclude;
  Patterns follow;
  Patterns metadata_exceptions;
  std::string shared_key_hint;
  bool differ_none = false;
  bool metadata_only = false;
};

StatusOr<Patterns> ParsePatterns(const std::string& text) {
  ordered_json list = ordered_json::parse(text, nullptr, false);
  if (list.is_null()) return Patterns();
  if (!list.is_array()) {
    return InvalidArgumentError(StrCat("invalid pattern list ", Quote(text)));
  }
  std::vector<std::string> patterns;
  for (const ordered_json& entry : list) {
    if (!entry.is_string()) {
      return InvalidArgumentError(StrCat("invalid pattern list ", Quote(text)));
    }
    patterns.push_back(entry.get<std::string>());
  }
  return Patterns(std::move(patterns));
}

Status ParseSession(const std::string& value, LocalIdentifier* id) {
  std::string_view prefix, session;
  id->session_id = value;
  if (StrCut(value, ":", &prefix, &session)) {
    id->name = StrCat(prefix, "-", id->name);
    id->session_id = std::string(session);
  }
  return OkStatus();
}

Status ParseAttribute(const std::string& key, const std::string& value, LocalIdentifier* id) {
  if (key == "local.session") return ParseSession(value, id);
  if (key == "local.sharedkeyhint") {
    id->shared_key_hint = value;
  } else if (key == "local.differ") {
    id->differ_none = value == "none";
  } else if (key == "local.metadatatransfer") {
    if (!ParseBool(value, &id->metadata_only)) {
      return InvalidArgumentError(StrCat("invalid value for local.metadatatransfer ",
                                         Quote(value), ": strconv.ParseBool: parsing ",
                                         Quote(value), ": invalid syntax"));
    }
  } else {
    Patterns* into = key == "local.includepattern"            ? &id->include
                     : key == "local.excludepatterns"         ? &id->exclude
                     : key == "local.followpaths"             ? &id->follow
                     : key == "local.metadatatransferexclude" ? &id->metadata_exceptions
                                                              : nullptr;
    if (into != nullptr) {
      ASSIGN_OR_RETURN(*into, ParsePatterns(value));
    }
  }
  return OkStatus();
}

ordered_json PatternsJson(const Patterns& patterns) {
  return patterns ? ordered_json(*patterns) : ordered_json(nullptr);
}

std::string GoText(const ordered_json& document) {
  return GoJsonCompact(document.dump(-1, ' ', false, ordered_json::error_handler_t::replace))
      .value_or("");
}

cache::FileStat AsFileStat(const SyncStat& stat) {
  return {.mode = stat.mode,
          .uid = stat.uid,
          .gid = stat.gid,
          .size = stat.size,
          .mtime_nanos = stat.mod_time,
          .linkname = stat.link_name,
          .devmajor = stat.dev_major,
          .devminor = stat.dev_minor,
          .xattrs = stat.xattrs};
}

cache::ChangeKind AsChangeKind(SyncChange change) {
  return change == SyncChange::kAdd      ? cache::ChangeKind::kAdd
         : change == SyncChange::kModify ? cache::ChangeKind::kModify
                                         : cache::ChangeKind::kDelete;
}

// The "transferring NAME:" line, not more often than ten times a second.
class TransferLine {
 public:
  TransferLine(solver::VertexProgress& progress, const std::string& name) : progress_(progress) {
    event_.id = StrCat("transferring ", name, ":");
    event_.name = "transferring";
    event_.started = Now();
    Send();
  }
  ~TransferLine() {
    event_.completed = Now();
    Send();
  }
  void Update(int64_t bytes) {
    event_.current = bytes;
    auto now = std::chrono::steady_clock::now();
    if (now - last_ >= kProgressInterval) {
      last_ = now;
      Send();
    }
  }

 private:
  void Send() {
    event_.timestamp = Now();
    progress_.Status(event_);
  }

  solver::VertexProgress& progress_;
  solver::StatusEvent event_;
  std::chrono::steady_clock::time_point last_;
};

class LocalInstance : public SourceInstance {
 public:
  LocalInstance(cache::RefStore& refs, SessionTable& sessions, const std::string& temp_dir,
                LocalIdentifier id)
      : refs_(refs), sessions_(sessions), temp_dir_(temp_dir), id_(std::move(id)) {}

  StatusOr<Key> CacheKey(int, solver::JobContext& context) override {
    std::string session = id_.session_id;
    if (session.empty()) {
      std::vector<std::string> all = context.Sessions();
      if (all.empty()) {
        return FailedPreconditionError("could not access local files without session");
      }
      session = all.front();
    }
    ordered_json document = {{"SessionID", session},
                             {"IncludePatterns", PatternsJson(id_.include)},
                             {"ExcludePatterns", PatternsJson(id_.exclude)},
                             {"FollowPaths", PatternsJson(id_.follow)}};
    if (id_.metadata_only) document["MetadataTransfer"] = true;
    if (id_.metadata_exceptions && !id_.metadata_exceptions->empty()) {
      document["MetadataExceptions"] = *id_.metadata_exceptions;
    }
    Digest digest = Digest::Of(GoText(document));
    return Key{StrCat("session:", id_.name, ":", digest.text()), true};
  }

  StatusOr<cache::Ref> Snapshot(solver::JobContext& context) override {
    if (!id_.session_id.empty()) {
      StatusOr<ClientSessionPtr> session = sessions_.Get(id_.session_id, kSessionWait);
      if (session.ok()) {
        StatusOr<cache::Ref> ref = Receive(**session, context);
        // A session that does not serve this folder leaves it to another build's.
        if (ref.ok() || ref.status().code() != StatusCode::kUnimplemented) return ref;
      }
    }
    cache::Ref found;
    RETURN_IF_ERROR(WithAnySession(sessions_, context.Sessions(),
                                   [&](ClientSession& session) -> Status {
                                     ASSIGN_OR_RETURN(found, Receive(session, context));
                                     return OkStatus();
                                   }));
    return found;
  }

 private:
  StatusOr<cache::MutableRef> FindOrMake(const std::string& shared_key) {
    ASSIGN_OR_RETURN(std::vector<std::string> ids, refs_.Find(kSharedKey, shared_key));
    for (const std::string& id : ids) {
      StatusOr<cache::MutableRef> ref = refs_.GetMutable(id);
      if (ref.ok()) return ref;
      log::Debug(StrCat("not reusing ref ", id, " for local: ", ref.status().message()));
    }
    return refs_.NewMutable({}, {.description = StrCat("local source for ", id_.name),
                                 .type = cache::RecordType::kLocalSource,
                                 .retain = true});
  }

  StatusOr<cache::Ref> Receive(ClientSession& session, solver::JobContext& context) {
    const std::string shared_key =
        StrCat(id_.name, ":", id_.shared_key_hint, ":", session.shared_key(),
               id_.metadata_only ? ":metadata" : "");
    ASSIGN_OR_RETURN(cache::MutableRef target, FindOrMake(shared_key));
    // Nobody finds the record while it changes: after a crash half of its files would
    // be new and none of its digests. The next transfer then starts a new one.
    if (!target.GetMetadata(kSharedKey).value_or("").empty()) {
      RETURN_IF_ERROR(target.SetMetadata(kSharedKey, "", true));
    }
    cache::ContentHashBuilder hashes(target);
    Status received = Transfer(session, target, hashes, context);
    if (received.ok()) received = hashes.Save(target);
    if (!received.ok()) {
      cache::ForgetChecksums(target).IgnoreError();
      return received;
    }
    RETURN_IF_ERROR(target.SetMetadata(kSharedKey, shared_key, true));
    return target.Commit();
  }

  Status Transfer(ClientSession& session, const cache::MutableRef& target,
                  cache::ContentHashBuilder& hashes, solver::JobContext& context) {
    ASSIGN_OR_RETURN(cache::MountLease lease, target.Mount(false, context.stop()));
    ASSIGN_OR_RETURN(cache::LocalMount mount, cache::LocalMount::Open(std::move(lease), temp_dir_));
    TransferLine line(context.progress(), id_.name);
    SyncRequest request;
    request.name = id_.name;
    request.include = id_.include.value_or(std::vector<std::string>());
    request.exclude = id_.exclude.value_or(std::vector<std::string>());
    request.follow_paths = id_.follow.value_or(std::vector<std::string>());
    request.dest = mount.path();
    request.differ_none = id_.differ_none;
    request.metadata_only = id_.metadata_only;
    request.metadata_exceptions = id_.metadata_exceptions.value_or(std::vector<std::string>());
    request.on_change = [&](SyncChange change, const SyncStat& stat, const Digest& content) {
      return hashes.OnChange(AsChangeKind(change), stat.path, AsFileStat(stat), content);
    };
    request.on_progress = [&](int64_t bytes) { line.Update(bytes); };
    return session.SyncDir(request, context.stop());
  }

  cache::RefStore& refs_;
  SessionTable& sessions_;
  const std::string& temp_dir_;
  LocalIdentifier id_;
};

class LocalSource : public Source {
 public:
  LocalSource(cache::RefStore& refs, SessionTable& sessions, std::string temp_dir)
      : refs_(refs), sessions_(sessions), temp_dir_(std::move(temp_dir)) {}

  std::vector<std::string> schemes() const override { return {"local"}; }

  StatusOr<std::unique_ptr<SourceInstance>> Resolve(
      std::string_view, std::string_view reference,
      const std::map<std::string, std::string>& attrs, const std::optional<Platform>&) override {
    LocalIdentifier id;
    id.name = std::string(reference);
    for (const auto& [key, value] : attrs) {
      RETURN_IF_ERROR(ParseAttribute(key, value, &id));
    }
    return std::unique_ptr<SourceInstance>(
        std::make_unique<LocalInstance>(refs_, sessions_, temp_dir_, std::move(id)));
  }

 private:
  cache::RefStore& refs_;
  SessionTable& sessions_;
  std::string temp_dir_;
};

}  // namespace

std::unique_ptr<Source> MakeLocalSource(cache::RefStore& refs, SessionTable& sessions,
                                        std::string temp_dir) {
  return std::make_unique<LocalSource>(refs, sessions, std::move(temp_dir));
}

}  // namespace kiln::worker
