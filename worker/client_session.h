// ClientSession: what a worker may ask of the client behind a session.
//
// Declared here, implemented in api/session (one of the three upward calls). A
// session may be served by another process one day: nothing here assumes that
// the client is connected to this one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "cache/content/content_store.h"

namespace kiln::worker {

// A file's metadata as it travels: Go's mode bits, times in nanoseconds.
struct SyncStat {
  std::string path;   // relative, no leading slash
  uint32_t mode = 0;
  uint32_t uid = 0, gid = 0;
  int64_t size = 0;
  int64_t mod_time = 0;
  std::string link_name;  // symlink text, or first name of a hard link
  int64_t dev_major = 0, dev_minor = 0;
  std::map<std::string, std::string> xattrs;
};

enum class SyncChange { kAdd, kModify, kDelete };

// A client's folder into a folder of ours.
struct SyncRequest {
  std::string name;                       // as in --local NAME=DIR
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  std::vector<std::string> follow_paths = {};
  std::string dest;                       // may hold an earlier copy: only differences travel
  bool differ_none = false;               // do not compare metadata, take everything
  bool metadata_only = false;
  std::vector<std::string> metadata_exceptions = {};
  // Called for each change of dest, in path order of the stream; the digest is that of the
  // content-hash header and bytes (cache/contenthash), empty for deletes. May be null.
  std::function<Status(SyncChange, const SyncStat&, const Digest& content)> on_change = {};
  // Called for each incoming entry before it is compared; may change it; false drops it.
  std::function<bool(SyncStat&)> filter = {};
  std::function<void(int64_t bytes)> on_progress = {};
};

// A file that is not in the folder that is sent, but arrives with it.
struct SentFile {
  SyncStat stat;
  std::string bytes;
};

// A folder of ours into the client's output folder (local exporter).
struct SendDirRequest {
  std::string dir;
  std::map<std::string, std::string> metadata = {};  // exporter metadata headers
  std::string exporter_id;
  std::function<bool(SyncStat&)> map_stat = {};       // changes or drops entries
  std::vector<SentFile> extra = {};  // win over files of their names; map_stat does not see them
  std::function<void(int64_t bytes)> on_progress = {};
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status Write(std::string_view bytes) = 0;
  virtual Status Close() = 0;  // waits until the client has taken everything
};

struct RegistryCredentials {
  std::string username;
  std::string secret;
};

struct TokenRequest {
  std::string client_id, host, realm, service;
  std::vector<std::string> scopes;
};
struct TokenResponse {
  std::string token;
  int64_t expires_in = 0;  // seconds
  int64_t issued_at = 0;
};

// Thread-safe, blocking. Every call ends with UNAVAILABLE when the client goes.
class ClientSession {
 public:
  virtual ~ClientSession() = default;
  virtual const std::string& id() const = 0;
  virtual const std::string& name() const = 0;
  virtual const std::string& shared_key() const = 0;
  // "/moby.filesync.v1.FileSync/DiffCopy" and the like.
  virtual bool Supports(std::string_view method) const = 0;

  virtual Status SyncDir(const SyncRequest& request, std::stop_token stop) = 0;
  virtual Status SendDir(const SendDirRequest& request, std::stop_token stop) = 0;
  virtual StatusOr<std::unique_ptr<ByteSink>> OpenOutput(
      const std::map<std::string, std::string>& metadata, std::string_view exporter_id) = 0;

  virtual StatusOr<std::string> GetSecret(std::string_view id) = 0;  // NOT_FOUND
  virtual StatusOr<RegistryCredentials> Credentials(std::string_view host) = 0;
  virtual StatusOr<TokenResponse> FetchToken(const TokenRequest& request) = 0;

  virtual Status CheckSshAgent(std::string_view id) = 0;
  // Serves one connection on `socket` until either side closes.
  virtual Status ForwardSshAgent(std::string_view id, UniqueFd socket, std::stop_token stop) = 0;

  // Pulls an upload stream (stdin tar context) chunk by chunk.
  virtual Status PullUpload(std::string_view path,
                            const std::function<Status(std::string_view)>& chunk,
                            std::stop_token stop) = 0;

  // Exporters that the client wants once it sees the result; none if it has no say.
  struct WantedExporter {
    std::string type;
    std::map<std::string, std::string> attrs;
  };
  virtual StatusOr<std::vector<WantedExporter>> FindExporters(
      const std::map<std::string, std::string>& metadata, const std::vector<std::string>& refs) {
    (void)metadata, (void)refs;
    return std::vector<WantedExporter>();
  }
  virtual Status FinalizeExport(const std::map<std::string, std::string>& response) {
    (void)response;
    return OkStatus();
  }
  // One exchange about a source: a serialised CheckPolicyRequest for its response.
  virtual StatusOr<std::string> CheckPolicy(const std::string& request) {
    (void)request;
    return UnimplementedError("the client has no source policy");
  }

  // The client's OCI content store `store` (oci-layout contexts, local caches).
  virtual std::shared_ptr<cache::BlobSource> Content(std::string_view store) = 0;
  // NOT_FOUND if the store has no such blob.
  virtual StatusOr<cache::BlobStat> StatContent(std::string_view store, const Digest& digest) = 0;
  virtual Status WriteContent(std::string_view store, const oci::Descriptor& blob,
                              cache::BlobReader& bytes) = 0;
};
using ClientSessionPtr = std::shared_ptr<ClientSession>;

// The sessions that are connected. Thread-safe.
class SessionTable {
 public:
  virtual ~SessionTable() = default;
  // Waits up to `wait` for the session to appear. NOT_FOUND in the reference's words.
  virtual StatusOr<ClientSessionPtr> Get(std::string_view id, std::chrono::milliseconds wait) = 0;
  // Those that are there now.
  virtual std::vector<std::string> Ids() { return {}; }
};

// Tries `call` with each session in turn until one gives an answer other than UNAVAILABLE or
// "no such service"; the last error otherwise.
Status WithAnySession(SessionTable& table, const std::vector<std::string>& sessions,
                      const std::function<Status(ClientSession&)>& call);

}  // namespace kiln::worker
