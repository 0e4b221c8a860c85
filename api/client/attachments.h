// The services that a client offers in its session, each as a factory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace grpc {
class Service;
}

namespace kiln::api {

struct Attachment {
  std::shared_ptr<grpc::Service> service;
  std::vector<std::string> methods;  // "/moby.filesync.v1.FileSync/DiffCopy"
};

// Folders by name (--local NAME=DIR); owners are sent as root. The folders are
// opened when they are asked for.
Attachment ServeFiles(std::map<std::string, std::string> dirs);

// Where an export goes: exactly one of the two is set.
struct OutputTarget {
  std::string dir;
  bool mirror = false;  // what is in `dir` and not in the result is deleted
  std::shared_ptr<UniqueFd> file;  // closed when the export is written
};
Attachment ServeOutputs(std::map<int, OutputTarget> targets);

struct SecretSource {
  std::string id;
  std::string file;
  std::string env;
};
// Checks the sources in the reference's words.
StatusOr<Attachment> ServeSecrets(std::vector<SecretSource> sources);

struct SshAgentSource {
  std::string id;
  std::vector<std::string> paths;  // one socket, or keys
  bool raw = false;
};
StatusOr<Attachment> ServeSsh(std::vector<SshAgentSource> sources);

// Trust in token servers, by registry host.
struct AuthTls {
  bool insecure = false;
  std::vector<std::string> root_cas;
  std::vector<std::pair<std::string, std::string>> key_pairs;  // certificate, key
};
struct AuthOptions {
  std::map<std::string, AuthTls> tls;
  // Told once per host and kind: "[auth] sharing credentials for …".
  std::function<void(const std::string& name)> on_use;
};
// Credentials of ~/.docker/config.json and its helpers.
Attachment ServeAuth(AuthOptions options);

// OCI layout folders by store id ("oci:NAME", "local:DIR", "export").
Attachment ServeContent(std::map<std::string, std::string> dirs);

// Streams by name, each taken once (a tar context from stdin).
Attachment ServeUploads(std::map<std::string, std::shared_ptr<UniqueFd>> streams);

}  // namespace kiln::api
