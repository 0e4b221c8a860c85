// HttpServer: a small HTTP server on loopback, for tests of what speaks to registries.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kiln::oci::testing {

struct ServedRequest {
  std::string method;
  std::string target;  // path and query
  std::string body;
  std::map<std::string, std::string> headers;  // lower-case names
  // "" if there is none.
  std::string Header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

struct ServedAnswer {
  unsigned status = 200;
  std::string body = {};
  std::map<std::string, std::string> headers = {};  // a Content-Length here may be a lie
};

// Serves one request per connection, and one connection at a time, until destroyed.
class HttpServer {
 public:
  // `answer` runs on the server's thread.
  explicit HttpServer(std::function<ServedAnswer(const ServedRequest&)> answer);
  ~HttpServer();
  std::string host() const;         // "127.0.0.1:PORT"
  std::vector<std::string> log();   // "METHOD TARGET" of every request; thread-safe

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::oci::testing
