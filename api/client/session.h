// Session: what the client serves to the daemon while a build runs.
//
// Control.Session carries an HTTP/2 connection in which the client is the
// server. The services themselves are made by the functions of attachments.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/client/attachments.h"
#include "api/client/connection.h"
#include "base/status.h"

namespace kiln::api {

// Start once, Close once (or destroy). Thread-safe.
class Session {
 public:
  explicit Session(std::string shared_key);
  ~Session();

  const std::string& id() const { return id_; }
  void Add(Attachment attachment) { attachments_.push_back(std::move(attachment)); }
  // Opens the tunnel and serves on threads of its own.
  Status Start(Connection& connection);
  // Ends all calls; blocks until the services are through.
  void Close();

 private:
  struct Serving;
  std::string id_;
  std::string shared_key_;
  std::vector<Attachment> attachments_;
  std::unique_ptr<Serving> serving_;
};

}  // namespace kiln::api
