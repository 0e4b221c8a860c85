// UnknownMethods: answers calls of methods that no service of a server has.
//
// gRPC for C++ ends them without a text; clients print the one that Go's server
// gives, so both our servers (daemon and session) register this.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <set>
#include <string>
#include <string_view>

namespace kiln::api {

// "unknown service X", "unknown method Y for service X", "malformed method name".
std::string UnknownMethodText(const std::set<std::string, std::less<>>& services,
                              std::string_view method);

// Give it to ServerBuilder::RegisterCallbackGenericService; it outlives the server.
class UnknownMethods : public grpc::CallbackGenericService {
 public:
  // Full names of the services that the server has. Before the server starts.
  void Know(std::set<std::string, std::less<>> services) { services_ = std::move(services); }
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

 private:
  std::set<std::string, std::less<>> services_;
};

}  // namespace kiln::api
