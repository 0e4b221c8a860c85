// The LLBBridge calls in terms of a ClientFrontend: message in, message out.
//
// Used for clients on the daemon's socket and for frontend images. Each blocks and may be called from any thread.
#pragma once

#include <stop_token>

#include "api/server/server.h"
#include "control/client_frontend.h"

namespace moby::buildkit::v1::frontend {
class EvaluateRequest;
class ExecMessage;
class InputsResponse;
class NewContainerRequest;
class PongResponse;
class ReadDirRequest;
class ReadDirResponse;
class ReadFileRequest;
class ReadFileResponse;
class ReleaseContainerRequest;
class ResolveImageConfigRequest;
class ResolveImageConfigResponse;
class ResolveSourceMetaRequest;
class ResolveSourceMetaResponse;
class ReturnRequest;
class SolveRequest;
class SolveResponse;
class StatFileRequest;
class StatFileResponse;
class WarnRequest;
}  // namespace moby::buildkit::v1::frontend

namespace fsutil::types {
class Stat;
}

namespace kiln::api {

namespace gateway = moby::buildkit::v1::frontend;
using control::ClientFrontend;

Status ResolveImageConfig(ClientFrontend& frontend, const gateway::ResolveImageConfigRequest& request,
                          std::stop_token stop, gateway::ResolveImageConfigResponse* response);
Status ResolveSourceMeta(ClientFrontend& frontend, const gateway::ResolveSourceMetaRequest& request,
                         std::stop_token stop, gateway::ResolveSourceMetaResponse* response);
Status SolveForFrontend(ClientFrontend& frontend, const gateway::SolveRequest& request,
                        std::stop_token stop, gateway::SolveResponse* response);
// What an answer takes of the driver's room (control/reply_room.h) until it is sent.
using ReplyShare = std::shared_ptr<control::ReplyRoom::Share>;
// "grpc: trying to send message larger than max …", RESOURCE_EXHAUSTED, as grpc-go says it.
Status TooLarge(uint64_t bytes);
// The file calls wait until there is room for the answer.
Status ReadFile(ClientFrontend& frontend, const gateway::ReadFileRequest& request,
                std::stop_token stop, gateway::ReadFileResponse* response, ReplyShare* share);
Status ReadDir(ClientFrontend& frontend, const gateway::ReadDirRequest& request,
               std::stop_token stop, gateway::ReadDirResponse* response, ReplyShare* share);
Status StatFile(ClientFrontend& frontend, const gateway::StatFileRequest& request,
                gateway::StatFileResponse* response);
Status Evaluate(ClientFrontend& frontend, const gateway::EvaluateRequest& request);
Status Inputs(ClientFrontend& frontend, gateway::InputsResponse* response);
Status Return(ClientFrontend& frontend, const gateway::ReturnRequest& request);
Status Warn(ClientFrontend& frontend, const gateway::WarnRequest& request);
void FillStat(const frontend::FileStat& in, fsutil::types::Stat* out);

// Containers to run processes in; bridge_containers.cc.
Status NewContainer(ClientFrontend& frontend, const gateway::NewContainerRequest& request);
Status ReleaseContainer(ClientFrontend& frontend, const gateway::ReleaseContainerRequest& request);
Status ReadFileContainer(ClientFrontend& frontend, const gateway::ReadFileRequest& request,
                         std::stop_token stop, gateway::ReadFileResponse* response,
                         ReplyShare* share);
Status ReadDirContainer(ClientFrontend& frontend, const gateway::ReadDirRequest& request,
                        std::stop_token stop, gateway::ReadDirResponse* response,
                        ReplyShare* share);
Status StatFileContainer(ClientFrontend& frontend, const gateway::StatFileRequest& request,
                         gateway::StatFileResponse* response);

// The stream of ExecProcess. Read is called by one thread, Write by any.
class ExecStream {
 public:
  virtual ~ExecStream() = default;
  virtual bool Read(gateway::ExecMessage* message) = 0;  // false at the end
  virtual bool Write(gateway::ExecMessage message) = 0;
};
// Blocks until the client has ended its side and all processes have ended; a stop
// request kills them. bridge_exec.cc.
Status ExecProcess(ClientFrontend& frontend, ExecStream& stream, std::stop_token stop);

// Metadata of sources in its wire form.
void FillMeta(const frontend::SourceMeta& meta, gateway::ResolveSourceMetaResponse* response);
frontend::ResolveRequest ToResolveRequest(const gateway::ResolveSourceMetaRequest& request);
// Every capability of the LLB and of the gateway, and the worker.
void Pong(const ServerParts& parts, gateway::PongResponse* response);

}  // namespace kiln::api
