// See policy_check.h.
#include "api/server/policy_check.h"

#include "api/proto/gateway.pb.h"
#include "api/proto/session/policysession.pb.h"
#include "api/server/bridge_calls.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "llb/proto/policy.pb.h"

namespace kiln::api {
namespace {

namespace spb = moby::buildkit::v1::sourcepolicy;
namespace session = spb::policysession;

constexpr int kMaxExchanges = 10;
constexpr std::chrono::seconds kSessionWait{5};
constexpr std::string_view kDenyUrl = "github.com/moby/buildkit/policysession.DecisionResponse+json";

// It may look closer at the source that it was asked about, and at no other.
Status CheckRequest(const pb::SourceOp& source, const pb::SourceOp& wanted) {
  if (wanted.identifier() != source.identifier()) {
    return UnknownError(StrCat("policy requested different source identifier: ",
                               Quote(wanted.identifier()), " != ", Quote(source.identifier())));
  }
  bool same = wanted.attrs_size() == source.attrs_size();
  for (const auto& [key, value] : source.attrs()) {
    auto other = wanted.attrs().find(key);
    same = same && other != wanted.attrs().end() && other->second == value;
  }
  return same ? OkStatus() : UnknownError("policy requested different source attrs");
}

Status Denied(const pb::SourceOp& source, const session::DecisionResponse& decision) {
  Status denied = UnknownError(StrCat("source ", Quote(source.identifier()),
                                      " not allowed by policy: action ",
                                      spb::PolicyAction_Name(decision.action())));
  if (decision.denymessages_size() > 0) {
    session::DecisionResponse detail = decision;
    detail.set_action(spb::DENY);
    detail.clear_update();
    denied.AddDetail(kDenyUrl, detail.SerializeAsString());
  }
  return denied;
}

}  // namespace

Status CheckSourcePolicy(worker::SessionTable& sessions, const control::PolicyQuery& query) {
  ASSIGN_OR_RETURN(worker::ClientSessionPtr client, sessions.Get(query.session, kSessionWait));
  pb::SourceOp& source = *query.op.mutable_source();
  auto ask = [&] {
    session::CheckPolicyRequest request;
    if (query.op.has_platform()) *request.mutable_platform() = query.op.platform();
    *request.mutable_source()->mutable_source() = source;
    return request;
  };
  session::CheckPolicyRequest request = ask();
  for (int i = 0; i < kMaxExchanges; ++i) {
    ASSIGN_OR_RETURN(std::string bytes, client->CheckPolicy(request.SerializeAsString()));
    session::CheckPolicyResponse response;
    if (!response.ParseFromString(bytes)) return UnknownError("invalid policy response");
    if (response.has_request()) {
      const gateway::ResolveSourceMetaRequest& wanted = response.request();
      RETURN_IF_ERROR(CheckRequest(source, wanted.source()));
      auto meta = query.resolve(wanted.source(), ToResolveRequest(wanted));
      if (!meta.ok()) {
        return Annotate(meta.status(), "error resolving source metadata from policy request");
      }
      request.clear_source();
      FillMeta(*meta, request.mutable_source());
      continue;
    }
    if (!response.has_decision()) return UnknownError("no decision in policy response");
    const session::DecisionResponse& decision = response.decision();
    if (decision.action() == spb::ALLOW) return OkStatus();
    if (decision.action() != spb::CONVERT) return Denied(source, decision);
    if (!decision.has_update()) {
      return UnknownError("convert action requires updated source");
    }
    source = decision.update();
    RETURN_IF_ERROR(query.rules(&source));
    request = ask();
  }
  return UnknownError("too many policy requests");
}

}  // namespace kiln::api
