// LiveSession: calls back to a client that is connected to this process.
//
// The client is a gRPC server inside the tunnel; each method is one or a few
// blocking calls on one channel. Which sessions there are is session_table.h.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "worker/client_session.h"

namespace grpc {
class Channel;
}

namespace kiln::api {

// What the client said of itself when it opened the session.
struct SessionFacts {
  std::string id;
  std::string name;
  std::string shared_key;
  std::vector<std::string> methods;  // "/service/method"
  int health_timeout_ms = 0;         // 0: the default
};

// Thread-safe. After the tunnel is closed every call ends UNAVAILABLE.
class LiveSession : public worker::ClientSession,
                    public std::enable_shared_from_this<LiveSession> {
 public:
  // Takes the descriptor over.
  LiveSession(SessionFacts facts, int fd);
  ~LiveSession() override;

  const std::string& id() const override { return facts_.id; }
  const std::string& name() const override { return facts_.name; }
  const std::string& shared_key() const override { return facts_.shared_key; }
  bool Supports(std::string_view method) const override;

  Status SyncDir(const worker::SyncRequest& request, std::stop_token stop) override;
  Status SendDir(const worker::SendDirRequest& request, std::stop_token stop) override;
  StatusOr<std::unique_ptr<worker::ByteSink>> OpenOutput(
      const std::map<std::string, std::string>& metadata, std::string_view exporter_id) override;
  StatusOr<std::string> GetSecret(std::string_view id) override;
  StatusOr<worker::RegistryCredentials> Credentials(std::string_view host) override;
  StatusOr<worker::TokenResponse> FetchToken(const worker::TokenRequest& request) override;
  Status CheckSshAgent(std::string_view id) override;
  Status ForwardSshAgent(std::string_view id, UniqueFd socket, std::stop_token stop) override;
  Status PullUpload(std::string_view path, const std::function<Status(std::string_view)>& chunk,
                    std::stop_token stop) override;
  StatusOr<std::vector<WantedExporter>> FindExporters(
      const std::map<std::string, std::string>& metadata,
      const std::vector<std::string>& refs) override;
  Status FinalizeExport(const std::map<std::string, std::string>& response) override;
  StatusOr<std::string> CheckPolicy(const std::string& request) override;
  std::shared_ptr<cache::BlobSource> Content(std::string_view store) override;
  StatusOr<cache::BlobStat> StatContent(std::string_view store, const Digest& digest) override;
  Status WriteContent(std::string_view store, const oci::Descriptor& blob,
                      cache::BlobReader& bytes) override;

  // One health check with a time limit.
  Status CheckHealth(int timeout_ms);
  const SessionFacts& facts() const { return facts_; }
  // For services that have no method here.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  SessionFacts facts_;
  std::set<std::string> methods_;  // lower case
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace kiln::api
