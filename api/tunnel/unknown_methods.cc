// The texts are those of grpc-go.
#include "api/tunnel/unknown_methods.h"

#include "base/strings.h"

namespace kiln::api {
namespace {

class Refusal : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const std::string& text) {
    Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, text));
  }
  void OnDone() override { delete this; }
};

}  // namespace

std::string UnknownMethodText(const std::set<std::string, std::less<>>& services,
                              std::string_view method) {
  std::string_view path = TrimPrefix(method, "/");
  size_t slash = path.rfind('/');
  if (slash == path.npos) return StrCat("malformed method name: ", Quote(method));
  std::string_view service = path.substr(0, slash);
  if (!services.contains(service)) return StrCat("unknown service ", service);
  return StrCat("unknown method ", path.substr(slash + 1), " for service ", service);
}

grpc::ServerGenericBidiReactor* UnknownMethods::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  return new Refusal(UnknownMethodText(services_, context->method()));
}

}  // namespace kiln::api
