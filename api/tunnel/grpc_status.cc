// JSON details on the wire, protobuf bytes inside; see grpc_status.h.
#include "api/tunnel/grpc_status.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/support/status.h>

#include <memory>

#include "api/proto/errdefs.pb.h"
#include "api/proto/gateway.pb.h"
#include "api/proto/session/policysession.pb.h"
#include "api/proto/stack.pb.h"
#include "api/proto/status.pb.h"
#include "api/tunnel/error_stack.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace kiln::api {
namespace {

using google::protobuf::Message;

constexpr std::string_view kUrlPrefix = "github.com/moby/buildkit/";
// Details that mean something in this process only.
constexpr std::string_view kLocalPrefix = "kiln/";
constexpr std::string_view kSolve = "errdefs.Solve+json";

// The message behind a type URL of the reference, or null if it is not one of them.
std::unique_ptr<Message> MessageFor(std::string_view type_url) {
  if (!type_url.starts_with(kUrlPrefix)) return nullptr;
  std::string_view name = type_url.substr(kUrlPrefix.size());
  if (name == "errdefs.Vertex+json") return std::make_unique<errdefs::Vertex>();
  if (name == "errdefs.Source+json") return std::make_unique<errdefs::Source>();
  if (name == "errdefs.Frontend+json") return std::make_unique<errdefs::Frontend>();
  if (name == "errdefs.FrontendCap+json") return std::make_unique<errdefs::FrontendCap>();
  if (name == "errdefs.Subrequest+json") return std::make_unique<errdefs::Subrequest>();
  if (name == kSolve) return std::make_unique<errdefs::Solve>();
  if (name == "errdefs.CompatibilityFeature+json") {
    return std::make_unique<errdefs::CompatibilityFeature>();
  }
  if (name == "errdefs.ProvenanceMaterialsIncomplete+json") {
    return std::make_unique<errdefs::ProvenanceMaterialsIncomplete>();
  }
  if (name == "gatewayapi.ExitMessage+json") {
    return std::make_unique<moby::buildkit::v1::frontend::ExitMessage>();
  }
  if (name == "stack.Stack+json") return std::make_unique<stack::Stack>();
  if (name == "policysession.DecisionResponse+json") {
    return std::make_unique<moby::buildkit::v1::sourcepolicy::policysession::DecisionResponse>();
  }
  return nullptr;
}

std::string FeatureJson(const errdefs::CompatibilityFeature& feature) {
  std::string json = "{";
  if (feature.version() != 0) json += StrCat("\"version\":", feature.version());
  if (!feature.feature().empty()) {
    json += StrCat(json.size() > 1 ? "," : "", "\"feature\":", Quote(feature.feature()));
  }
  return json + "}";
}

std::string WireBytes(const StatusDetail& detail) {
  std::unique_ptr<Message> message = MessageFor(detail.type_url);
  if (message == nullptr || !message->ParseFromString(detail.bytes)) return detail.bytes;
  // Only Solve is in protobuf's own JSON. The others are Go structs: names of the
  // .proto file, enums and 64-bit integers as numbers.
  google::protobuf::util::JsonPrintOptions options;
  if (detail.type_url != StrCat(kUrlPrefix, kSolve)) {
    if (auto* feature = dynamic_cast<errdefs::CompatibilityFeature*>(message.get())) {
      return FeatureJson(*feature);
    }
    options.preserve_proto_field_names = true;
    options.always_print_enums_as_ints = true;
  }
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(*message, &json, options).ok()) {
    return detail.bytes;
  }
  return json;
}

std::string InnerBytes(const std::string& type_url, const std::string& wire) {
  std::unique_ptr<Message> message = MessageFor(type_url);
  if (message == nullptr) return wire;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(wire, message.get(), options).ok()) return wire;
  return message->SerializeAsString();
}

}  // namespace

void ToRpcStatus(const Status& status, google::rpc::Status* out) {
  out->set_code(static_cast<int>(status.code()));
  out->set_message(ToValidUtf8(status.message()));
  auto add = [&](const StatusDetail& detail) {
    auto* any = out->add_details();
    any->set_type_url(detail.type_url);
    any->set_value(WireBytes(detail));
  };
  // The reference lists stacks first, from the inside, as we add them; then the other
  // details, the outermost first.
  const auto& details = status.details();
  for (const StatusDetail& detail : details) {
    if (detail.type_url == kStackUrl) add(detail);
  }
  for (auto detail = details.rbegin(); detail != details.rend(); ++detail) {
    if (detail->type_url == kStackUrl || detail->type_url.starts_with(kLocalPrefix)) continue;
    add(*detail);
  }
}

Status FromRpcStatus(const google::rpc::Status& status) {
  if (status.code() == 0) return OkStatus();
  Status result(static_cast<StatusCode>(status.code()), status.message());
  auto add = [&](const google::protobuf::Any& any) {
    result.AddDetail(any.type_url(), InnerBytes(any.type_url(), any.value()));
  };
  for (int i = status.details_size() - 1; i >= 0; --i) {
    if (status.details(i).type_url() != kStackUrl) add(status.details(i));
  }
  for (const auto& any : status.details()) {
    if (any.type_url() == kStackUrl) add(any);
  }
  return result;
}

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  if (!status.details().empty()) ToRpcStatus(status, &details);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), status.message(),
                      details.SerializeAsString());
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return OkStatus();
  google::rpc::Status details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details()) &&
      details.code() != 0) {
    return FromRpcStatus(details);
  }
  return Status(static_cast<StatusCode>(status.error_code()), status.error_message());
}

}  // namespace kiln::api
