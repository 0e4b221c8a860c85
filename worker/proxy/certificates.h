// CertificateAuthority: certificates that the proxy shows to steps in place of servers'.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

struct evp_pkey_st;
struct ssl_ctx_st;
struct x509_st;

namespace kiln::worker::proxy {

// Thread-safe. Keys are made with the object and never leave the process.
class CertificateAuthority {
 public:
  // Takes some tenths of a second.
  static StatusOr<std::unique_ptr<CertificateAuthority>> New();

  // Its own certificate, which steps must trust.
  const std::string& pem() const { return pem_; }
  // Settings of a TLS server for `host`, a name or an address. Valid for a day; those of the
  // last thousand hosts are kept.
  StatusOr<std::shared_ptr<ssl_ctx_st>> ServerFor(const std::string& host);

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    std::string host;
    std::shared_ptr<ssl_ctx_st> server;
    Clock::time_point expires;
  };
  CertificateAuthority() = default;
  StatusOr<std::shared_ptr<ssl_ctx_st>> Make(const std::string& host) const;

  std::shared_ptr<evp_pkey_st> key_;
  std::shared_ptr<evp_pkey_st> server_key_;  // of all servers: they are all this process
  std::shared_ptr<x509_st> certificate_;
  std::string pem_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::map<std::string, std::list<Entry>::iterator, std::less<>> by_host_;
};

}  // namespace kiln::worker::proxy
