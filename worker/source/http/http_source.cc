#include "worker/source/http/http_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "base/file.h"
#include "base/go_json.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "worker/source/http/http_client.h"
#include "worker/source/signature/verify.h"

namespace kiln::worker {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kKeyUrl = "http.url";
constexpr std::string_view kKeyEtag = "etag";
constexpr std::string_view kKeyChecksum = "http.checksum";
constexpr std::string_view kKeyModTime = "http.modtime";
constexpr const char* kHttpDate = "%a, %d %b %Y %H:%M:%S GMT";
constexpr const char* kUserAgent = "buildkit/v0.32";

struct HttpIdentifier {
  std::string url;
  Digest checksum;
  std::string filename;
  int64_t perm = 0, uid = 0, gid = 0;
  std::string auth_secret;
  std::string signature, signature_keys;  // both or none
  std::map<std::string, std::string> headers;  // only those that a user may set
};

// What a URL stands for now.
struct Resolved {
  Digest digest;
  std::string filename;
  std::string modified;  // as an HTTP date; "" if unknown
  std::string ref_id;    // "" while it is not there
};

Status ParseAttribute(const std::string& key, const std::string& value, HttpIdentifier* id) {
  if (key == "http.checksum") {
    ASSIGN_OR_RETURN(id->checksum, Digest::Parse(value));
  } else if (key == "http.filename") {
    id->filename = value;
  } else if (key == "http.perm") {
    ASSIGN_OR_RETURN(id->perm, ParseSourceInt(value));
  } else if (key == "http.uid") {
    ASSIGN_OR_RETURN(id->uid, ParseSourceInt(value));
  } else if (key == "http.gid") {
    ASSIGN_OR_RETURN(id->gid, ParseSourceInt(value));
  } else if (key == "http.authheadersecret") {
    id->auth_secret = value;
  } else if (key == "http.sig.pubkey") {
    id->signature_keys = value;
  } else if (key == "http.sig.signature") {
    id->signature = value;
  } else if (key.starts_with("http.header.")) {
    std::string name = ToLower(key.substr(12));
    if (name == "accept") id->headers["Accept"] = value;
    if (name == "user-agent") id->headers["User-Agent"] = value;
  }
  return OkStatus();
}

std::string GoText(const ordered_json& document) {
  return GoJsonCompact(document.dump(-1, ' ', false, ordered_json::error_handler_t::replace))
      .value_or("");
}

ordered_json HeadersJson(const HttpIdentifier& id) {
  if (id.headers.empty()) return nullptr;
  ordered_json list = ordered_json::array();
  for (const auto& [name, value] : id.headers) {
    list.push_back({{"Name", name}, {"Value", value}});
  }
  return list;
}

// Under this the etag of the URL is kept; never leaves the machine.
std::string UrlHash(const HttpIdentifier& id) {
  ordered_json document = {
      {"Filename", Base64Encode(StrCat(id.url, std::string_view("\0", 1), id.filename))},
      {"Perm", id.perm},
      {"UID", id.uid},
      {"GID", id.gid}};
  if (!id.auth_secret.empty()) document["AuthHeaderSecret"] = id.auth_secret;
  document["Header"] = HeadersJson(id);
  return Digest::Of(GoText(document)).text();
}

// The three forms of RFC 9110, section 5.6.7.
std::optional<std::time_t> ParseHttpDate(const std::string& text) {
  for (const char* form : {kHttpDate, "%A, %d-%b-%y %H:%M:%S %Z", "%a %b %e %H:%M:%S %Y"}) {
    std::tm parts = {};
    const char* end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return ::timegm(&parts);
  }
  return std::nullopt;
}

// The date as Go writes it again; "" if it is none.
std::string CanonicalDate(const std::string& text) {
  std::optional<std::time_t> time = ParseHttpDate(text);
  if (!time) return "";
  std::tm parts = {};
  ::gmtime_r(&*time, &parts);
  char out[64];
  return std::string(out, std::strftime(out, sizeof out, kHttpDate, &parts));
}

std::string KeyText(const HttpIdentifier& id, const Resolved& resolved) {
  ordered_json document = {{"Filename", resolved.filename},
                           {"Perm", id.perm},
                           {"UID", id.uid},
                           {"GID", id.gid},
                           {"Checksum", resolved.digest.text()}};
  if (!resolved.modified.empty()) document["LastModTime"] = resolved.modified;
  if (!id.auth_secret.empty()) document["AuthHeaderSecret"] = id.auth_secret;
  if (!id.headers.empty()) document["Header"] = HeadersJson(id);
  return Digest::Of(GoText(document)).text();
}

// A weak etag counts as its strong form: what is compared is a file of ours.
std::string EtagValue(std::string_view etag) { return std::string(TrimPrefix(etag, "W/")); }

std::string SafeFileName(std::string_view text) {
  std::string name = BaseName(TrimSpace(text));
  bool control =
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  bool unusable = name.empty() || name == "." || name == ".." || name == "/" || control;
  return unusable ? "download" : name;
}

// The filename parameter of a Content-Disposition header; "" if there is none.
std::string DispositionName(std::string_view header) {
  for (std::string_view part : StrSplit(header, ';')) {
    std::string_view name, value;
    if (!StrCut(TrimSpace(part), "=", &name, &value) || ToLower(TrimSpace(name)) != "filename") {
      continue;
    }
    value = TrimSpace(value);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    return value.ends_with('/') ? "" : std::string(value);
  }
  return "";
}

std::string ResolvedText(const Resolved& resolved) {
  return ordered_json{resolved.digest.text(), resolved.filename, resolved.modified, resolved.ref_id}
      .dump();
}

StatusOr<Resolved> ParseResolved(const std::string& text) {
  ordered_json list = ordered_json::parse(text, nullptr, false);
  if (!list.is_array() || list.size() != 4) return InternalError("bad resolved URL");
  return Resolved{Digest::Trusted(list[0].get<std::string>()), list[1].get<std::string>(),
                  list[2].get<std::string>(), list[3].get<std::string>()};
}

constexpr size_t kMaxSuffix = 4096;

const EVP_MD* HashOf(int algorithm, std::string_view* name) {
  switch (algorithm) {
    case 0: *name = "sha256"; return EVP_sha256();
    case 1: *name = "sha384"; return EVP_sha384();
    case 2: *name = "sha512"; return EVP_sha512();
    default: return nullptr;
  }
}

Status CheckFurther(const MetadataRequest::Checksum& wanted) {
  if (wanted.suffix.size() > kMaxSuffix) {
    return InvalidArgumentError(
        StrCat("http checksum request suffix exceeds max size ", kMaxSuffix));
  }
  std::string_view name;
  if (HashOf(wanted.algorithm, &name) != nullptr) return OkStatus();
  return InvalidArgumentError(StrCat("unsupported checksum algorithm ", wanted.algorithm));
}

StatusOr<std::string> HashFile(const std::string& path, const MetadataRequest::Checksum& wanted) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDONLY | O_CLOEXEC));
  std::string_view name;
  std::shared_ptr<EVP_MD_CTX> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool ok = EVP_DigestInit_ex(hash.get(), HashOf(wanted.algorithm, &name), nullptr) == 1;
  std::vector<char> bytes(256 << 10);
  for (ssize_t got; (got = ::read(file.get(), bytes.data(), bytes.size())) != 0;) {
    if (got < 0) return ErrnoStatus(errno, "failed to hash http source payload");
    ok = ok && EVP_DigestUpdate(hash.get(), bytes.data(), static_cast<size_t>(got)) == 1;
  }
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  ok = ok && EVP_DigestUpdate(hash.get(), wanted.suffix.data(), wanted.suffix.size()) == 1 &&
       EVP_DigestFinal_ex(hash.get(), raw, &size) == 1;
  if (!ok) return InternalError("failed to hash http source payload");
  return StrCat(name, ":", HexEncode({reinterpret_cast<const char*>(raw), size}));
}

class HttpInstance : public SourceInstance {
 public:
  HttpInstance(cache::RefStore& refs, SessionTable& sessions, const std::string& temp_dir,
               HttpIdentifier id)
      : refs_(refs), sessions_(sessions), temp_dir_(temp_dir), id_(std::move(id)) {}

  StatusOr<Key> CacheKey(int, solver::JobContext& context) override {
    Resolved resolved;
    if (!id_.checksum.empty()) {
      // Nothing need be asked: the content is known by its digest.
      resolved.digest = id_.checksum;
      resolved.filename = HttpFileName(id_.url, id_.filename, "");
    } else {
      ASSIGN_OR_RETURN(resolved, Resolve(context));
      HoldContent(resolved);
    }
    RETURN_IF_ERROR(CheckSignature(context));
    return Key{KeyText(id_, resolved), true, resolved.digest.text(), id_.url};
  }

  StatusOr<SourceMetadata> Metadata(const MetadataRequest& request,
                                    solver::JobContext& context) override {
    if (request.http_checksum) RETURN_IF_ERROR(CheckFurther(*request.http_checksum));
    SourceMetadata meta;
    RETURN_IF_ERROR(CheckSignature(context));
    if (!id_.checksum.empty() && !request.http_checksum) {
      meta.http_digest = id_.checksum;
      meta.http_filename = HttpFileName(id_.url, id_.filename, "");
      return meta;
    }
    StatusOr<Resolved> found = Resolve(context);
    if (!found.ok()) {
      return request.http_checksum
                 ? Annotate(found.status(),
                            "failed to resolve source reference for checksum request")
                 : found.status();
    }
    const Resolved& resolved = *found;
    HoldContent(resolved);
    if (request.http_checksum) {
      ASSIGN_OR_RETURN(meta.http_further_digest,
                       FurtherDigest(resolved, *request.http_checksum, context));
    }
    meta.http_digest = resolved.digest;
    meta.http_filename = resolved.filename;
    if (std::optional<std::time_t> time = ParseHttpDate(resolved.modified)) {
      meta.http_last_modified = Time::FromSeconds(*time);
    }
    return meta;
  }

  StatusOr<cache::Ref> Snapshot(solver::JobContext& context) override {
    ASSIGN_OR_RETURN(Resolved resolved, Resolve(context));
    StatusOr<cache::Ref> ref = refs_.Get(resolved.ref_id);
    held_ = cache::Ref();
    if (ref.ok()) return ref;
    cache::Ref fresh;
    ASSIGN_OR_RETURN(Resolved again, Download(context, {}, &fresh));
    if (again.digest != resolved.digest) {
      return DataLossError(
          StrCat("digest mismatch ", again.digest.text(), ": ", resolved.digest.text()));
    }
    return fresh;
  }

 private:
  Status CheckSignature(solver::JobContext& context) {
    if (id_.signature.empty()) return OkStatus();
    StatusOr<Resolved> resolved = Resolve(context);
    if (!resolved.ok()) {
      return Annotate(resolved.status(),
                      "failed to resolve source reference for signature verification");
    }
    HoldContent(*resolved);
    StatusOr<cache::Ref> ref = refs_.Get(resolved->ref_id);
    if (!ref.ok()) return Annotate(ref.status(), "failed to load http source reference");
    ASSIGN_OR_RETURN(cache::MountLease lease, ref->Mount(true, context.stop()));
    ASSIGN_OR_RETURN(cache::LocalMount mount,
                     cache::LocalMount::Open(std::move(lease), temp_dir_));
    // The name has no slash and the file is one of ours.
    return Annotate(VerifyPgp(JoinPath(mount.path(), resolved->filename), id_.signature,
                              id_.signature_keys, {}, temp_dir_),
                    "failed to verify pgp signature");
  }

  StatusOr<std::string> FurtherDigest(const Resolved& resolved,
                                      const MetadataRequest::Checksum& wanted,
                                      solver::JobContext& context) {
    StatusOr<cache::Ref> ref = refs_.Get(resolved.ref_id);
    if (!ref.ok()) return Annotate(ref.status(), "failed to load http source reference");
    ASSIGN_OR_RETURN(cache::MountLease lease, ref->Mount(true, context.stop()));
    ASSIGN_OR_RETURN(cache::LocalMount mount,
                     cache::LocalMount::Open(std::move(lease), temp_dir_));
    return HashFile(JoinPath(mount.path(), resolved.filename), wanted);
  }

  // Between the key and the tree nothing may prune it: the server may have moved on.
  void HoldContent(const Resolved& resolved) {
    if (!held_.empty()) return;
    if (StatusOr<cache::Ref> ref = refs_.Get(resolved.ref_id); ref.ok()) held_ = *std::move(ref);
  }

  // Once per build and URL.
  StatusOr<Resolved> Resolve(solver::JobContext& context) {
    std::string memo = StrCat("http:", UrlHash(id_));
    bool first = false;
    ASSIGN_OR_RETURN(std::string text, context.Memo(memo, [&]() -> StatusOr<std::string> {
      first = true;
      ASSIGN_OR_RETURN(Resolved resolved, Ask(context));
      return ResolvedText(resolved);
    }));
    ASSIGN_OR_RETURN(Resolved resolved, ParseResolved(text));
    if (!id_.checksum.empty() && resolved.digest != id_.checksum) {
      if (first) {
        return DataLossError(
            StrCat("digest mismatch ", resolved.digest.text(), ": ", id_.checksum.text()));
      }
      return DataLossError(StrCat("digest mismatch for ", id_.url, ": ", resolved.digest.text(),
                                  " (expected: ", id_.checksum.text(), ")"));
    }
    return resolved;
  }

  StatusOr<Resolved> Ask(solver::JobContext& context) {
    std::map<std::string, Resolved> known;  // by etag
    std::vector<cache::Ref> kept;           // until one of them is chosen
    ASSIGN_OR_RETURN(std::vector<std::string> ids, refs_.Find(kKeyUrl, UrlHash(id_)));
    for (const std::string& id : ids) {
      StatusOr<cache::Ref> ref = refs_.Get(id);
      if (!ref.ok()) continue;
      std::string etag = ref->GetMetadata(kKeyEtag).value_or("");
      std::string digest = ref->GetMetadata(kKeyChecksum).value_or("");
      if (etag.empty() || digest.empty()) continue;
      known[etag] = {Digest::Trusted(digest), "",
                     CanonicalDate(ref->GetMetadata(kKeyModTime).value_or("")), id};
      kept.push_back(*std::move(ref));
    }
    if (!known.empty()) {
      // Some servers answer If-None-Match badly, but name their etag to HEAD.
      HttpRequest head = {.method = "HEAD", .url = id_.url};
      RETURN_IF_ERROR(AddHeaders(context, known, &head));
      StatusOr<HttpResponse> response = HttpFetch(head, nullptr, context.stop());
      if (response.ok() && (response->status == 200 || response->status == 304)) {
        if (const Resolved* same = Match(known, *response)) return Keep(*same, *response);
      }
    }
    return Download(context, known, &held_);
  }

  static const Resolved* Match(const std::map<std::string, Resolved>& known,
                               const HttpResponse& response) {
    std::string etag = EtagValue(response.header("etag"));
    // A bare "not modified" answers for the one etag that was sent.
    if (etag.empty() && response.status == 304 && known.size() == 1) return &known.begin()->second;
    auto found = known.find(etag);
    return found == known.end() ? nullptr : &found->second;
  }

  Resolved Keep(const Resolved& same, const HttpResponse& response) {
    if (StatusOr<cache::Ref> ref = refs_.Get(same.ref_id); ref.ok()) held_ = *std::move(ref);
    return Named(same, response);
  }

  Resolved Named(Resolved resolved, const HttpResponse& response) const {
    resolved.filename = HttpFileName(id_.url, id_.filename, response.header("content-disposition"));
    return resolved;
  }

  Status AddHeaders(solver::JobContext& context, const std::map<std::string, Resolved>& known,
                    HttpRequest* request) {
    request->headers = id_.headers;
    request->headers.try_emplace("User-Agent", kUserAgent);
    std::vector<std::string> etags;
    for (const auto& [etag, resolved] : known) etags.push_back(etag);
    if (!etags.empty()) request->headers["If-None-Match"] = StrJoin(etags, ", ");
    if (!id_.auth_secret.empty()) {
      Status got = AddSecret(context, id_.auth_secret, "", request);
      return Annotate(got, StrCat("failed to retrieve HTTP auth secret ", id_.auth_secret));
    }
    ASSIGN_OR_RETURN(Url url, ParseUrl(id_.url));
    AddSecret(context, StrCat("HTTP_AUTH_HEADER_", url.host), "", request).IgnoreError();
    AddSecret(context, StrCat("HTTP_AUTH_TOKEN_", url.host), "Bearer ", request).IgnoreError();
    return OkStatus();
  }

  Status AddSecret(solver::JobContext& context, const std::string& name, std::string_view prefix,
                   HttpRequest* request) {
    return WithAnySession(sessions_, context.Sessions(), [&](ClientSession& session) -> Status {
      ASSIGN_OR_RETURN(std::string value, session.GetSecret(name));
      request->headers["Authorization"] = StrCat(prefix, value);
      return OkStatus();
    });
  }

  // The body goes into a file beside its place; it gets its name when the headers are known.
  StatusOr<Resolved> Download(solver::JobContext& context,
                              const std::map<std::string, Resolved>& known, cache::Ref* ref) {
    ASSIGN_OR_RETURN(cache::MutableRef target,
                     refs_.NewMutable({}, {.description = StrCat("http url ", id_.url)}));
    Resolved resolved;
    HttpResponse response;
    {
      ASSIGN_OR_RETURN(cache::MountLease lease, target.Mount(false, context.stop()));
      ASSIGN_OR_RETURN(cache::LocalMount mount,
                       cache::LocalMount::Open(std::move(lease), temp_dir_));
      ASSIGN_OR_RETURN(UniqueFd dir, OpenFile(mount.path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      constexpr const char* kPart = ".download";
      UniqueFd file(::openat(dir.get(), kPart, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      if (!file.valid()) return ErrnoStatus(errno, "open download");
      ASSIGN_OR_RETURN(response, Receive(context, known, file.get(), &resolved.digest));
      if (response.status == 304) {
        const Resolved* same = Match(known, response);
        if (same == nullptr) {
          return UnknownError(StrCat("invalid not-modified ETag: ", response.header("etag")));
        }
        return Keep(*same, response);
      }
      resolved = Named(std::move(resolved), response);
      if ((id_.perm & ~0777) != 0) {
        return UnknownError(StrCat("openat ", resolved.filename, ": unsupported file mode"));
      }
      RETURN_IF_ERROR(Finish(file.get(), response));
      if (::renameat(dir.get(), kPart, dir.get(), resolved.filename.c_str()) != 0) {
        return ErrnoStatus(errno, StrCat("rename ", resolved.filename));
      }
    }
    ASSIGN_OR_RETURN(*ref, target.Commit());
    resolved.ref_id = ref->id();
    resolved.modified = CanonicalDate(response.header("last-modified"));
    RETURN_IF_ERROR(Remember(*ref, response, resolved.digest));
    return resolved;
  }

  StatusOr<HttpResponse> Receive(solver::JobContext& context,
                                 const std::map<std::string, Resolved>& known, int file,
                                 Digest* digest) {
    Sha256 hash;
    auto write = [&](std::string_view bytes) {
      hash.Update(bytes);
      return WriteAll(file, bytes);
    };
    HttpResponse response;
    ASSIGN_OR_RETURN(Url url, ParseUrl(id_.url));
    if (url.host == "buildkit-session") {
      // Not the network: a stream that the client offers (a context from its stdin).
      RETURN_IF_ERROR(WithAnySession(sessions_, context.Sessions(), [&](ClientSession& session) {
        return session.PullUpload(url.path, write, context.stop());
      }));
      response.status = 200;
    } else {
      HttpRequest request = {.method = "GET", .url = id_.url};
      RETURN_IF_ERROR(AddHeaders(context, known, &request));
      ASSIGN_OR_RETURN(response, HttpFetch(request, write, context.stop()));
      if (response.status < 200 || response.status >= 400) {
        return UnknownError(StrCat("invalid response status ", response.status));
      }
    }
    *digest = hash.Finish();
    return response;
  }

  Status Finish(int file, const HttpResponse& response) const {
    if ((id_.uid != 0 || id_.gid != 0) &&
        ::fchown(file, static_cast<uid_t>(id_.uid), static_cast<gid_t>(id_.gid)) != 0) {
      return ErrnoStatus(errno, "chown download");
    }
    if (::fchmod(file, id_.perm == 0 ? 0600 : static_cast<mode_t>(id_.perm) & 0777) != 0) {
      return ErrnoStatus(errno, "chmod download");
    }
    timespec time = {ParseHttpDate(response.header("last-modified")).value_or(0), 0};
    timespec times[2] = {time, time};
    return ::futimens(file, times) == 0 ? OkStatus() : ErrnoStatus(errno, "chtimes download");
  }

  Status Remember(const cache::Ref& ref, const HttpResponse& response, const Digest& digest) {
    std::string etag = EtagValue(response.header("etag"));
    if (!etag.empty()) {
      RETURN_IF_ERROR(ref.SetMetadata(kKeyEtag, etag));
      RETURN_IF_ERROR(ref.SetMetadata(kKeyChecksum, digest.text()));
      RETURN_IF_ERROR(ref.SetMetadata(kKeyUrl, UrlHash(id_), true));
    }
    std::string modified = response.header("last-modified");
    return modified.empty() ? OkStatus() : ref.SetMetadata(kKeyModTime, modified);
  }

  cache::RefStore& refs_;
  SessionTable& sessions_;
  const std::string& temp_dir_;
  HttpIdentifier id_;
  cache::Ref held_;  // of the content that the key was made of
};

class HttpSource : public Source {
 public:
  HttpSource(cache::RefStore& refs, SessionTable& sessions, std::string temp_dir)
      : refs_(refs), sessions_(sessions), temp_dir_(std::move(temp_dir)) {}
  std::vector<std::string> schemes() const override { return {"http", "https"}; }
  StatusOr<std::unique_ptr<SourceInstance>> Resolve(std::string_view scheme,
                                                    std::string_view reference,
                                                    const std::map<std::string, std::string>& attrs,
                                                    const std::optional<Platform>&) override {
    HttpIdentifier id;
    id.url = StrCat(scheme, "://", reference);
    for (const auto& [key, value] : attrs) {
      RETURN_IF_ERROR(ParseAttribute(key, value, &id));
    }
    if (id.signature.empty() != id.signature_keys.empty()) {
      return InvalidArgumentError(
          "http signature verification requires both pubkey and signature");
    }
    return std::unique_ptr<SourceInstance>(
        std::make_unique<HttpInstance>(refs_, sessions_, temp_dir_, std::move(id)));
  }

 private:
  cache::RefStore& refs_;
  SessionTable& sessions_;
  std::string temp_dir_;
};

}  // namespace

StatusOr<int64_t> ParseSourceInt(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  long long value = std::strtoll(text.c_str(), &end, 0);
  if (text.empty() || *end != '\0' || errno != 0) {
    return InvalidArgumentError(
        StrCat("strconv.ParseInt: parsing ", Quote(text), ": invalid syntax"));
  }
  return static_cast<int64_t>(value);
}

std::string HttpFileName(std::string_view url, std::string_view wanted,
                         std::string_view content_disposition) {
  if (!wanted.empty()) return SafeFileName(wanted);
  std::string named = DispositionName(content_disposition);
  if (!named.empty()) return SafeFileName(named);
  StatusOr<Url> parsed = ParseUrl(url);
  return SafeFileName(parsed.ok() ? BaseName(PercentDecode(parsed->path)) : "");
}

std::unique_ptr<Source> MakeHttpSource(cache::RefStore& refs, SessionTable& sessions,
                                       std::string temp_dir) {
  return std::make_unique<HttpSource>(refs, sessions, std::move(temp_dir));
}

}  // namespace kiln::worker
