// What the client's folders answer, without a daemon.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "api/client/attachments.h"
#include "api/proto/session/filesync.grpc.pb.h"

namespace kiln::api {
namespace {

TEST(ServeFiles, OfTheTwoProtocolsOneIsSpoken) {
  Attachment files = ServeFiles({{"context", "/nowhere"}});
  grpc::ServerBuilder builder;
  builder.RegisterService(files.service.get());
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  auto stub = ::moby::filesync::v1::FileSync::NewStub(server->InProcessChannel({}));
  grpc::ClientContext context;
  auto stream = stub->TarStream(&context);
  ::fsutil::types::Packet packet;
  EXPECT_FALSE(stream->Read(&packet));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(status.error_message(), "failed to negotiate protocol");
}

}  // namespace
}  // namespace kiln::api
