// Error details in the reference's wire form.
#include "api/tunnel/grpc_status.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "api/proto/errdefs.pb.h"
#include "api/proto/status.pb.h"

namespace kiln::api {
namespace {

constexpr char kVertexUrl[] = "github.com/moby/buildkit/errdefs.Vertex+json";
constexpr char kSourceUrl[] = "github.com/moby/buildkit/errdefs.Source+json";

Status WithVertexAndSource() {
  Status status = UnknownError("exit code: 1");
  errdefs::Vertex vertex;
  vertex.set_digest("sha256:aa");
  status.AddDetail(kVertexUrl, vertex.SerializeAsString());
  errdefs::Source source;
  source.mutable_info()->set_filename("Dockerfile");
  source.mutable_info()->set_data("FROM x");
  source.add_ranges()->mutable_start()->set_line(3);
  status.AddDetail(kSourceUrl, source.SerializeAsString());
  return status;
}

TEST(GrpcStatus, DetailsTravelAsJsonOutermostFirst) {
  google::rpc::Status wire;

  ToRpcStatus(WithVertexAndSource(), &wire);

  EXPECT_EQ(wire.code(), 2);
  ASSERT_EQ(wire.details_size(), 2);
  EXPECT_EQ(wire.details(0).type_url(), kSourceUrl);
  EXPECT_EQ(wire.details(0).value(),
            R"({"info":{"filename":"Dockerfile","data":"RlJPTSB4"},"ranges":[{"start":{"line":3}}]})");
  EXPECT_EQ(wire.details(1).value(), R"({"digest":"sha256:aa"})");
}

TEST(GrpcStatus, AStatusSurvivesTheRoundTrip) {
  Status status = WithVertexAndSource();

  Status back = FromGrpc(ToGrpc(status));

  EXPECT_EQ(back.code(), status.code());
  EXPECT_EQ(back.message(), status.message());
  EXPECT_EQ(back.details(), status.details());
}

TEST(GrpcStatus, ASolveTravelsAsProtobufJsonWithWideNumbersAsText) {
  errdefs::Solve solve;
  solve.add_inputids("in");
  solve.add_mountids("");
  solve.mutable_op()->mutable_exec()->mutable_meta()->add_args("false");
  solve.mutable_file()->set_index(3);
  Status status = UnknownError("x");
  status.AddDetail("github.com/moby/buildkit/errdefs.Solve+json", solve.SerializeAsString());
  google::rpc::Status wire;

  ToRpcStatus(status, &wire);

  EXPECT_EQ(wire.details(0).value(),
            R"({"inputIDs":["in"],"mountIDs":[""],"op":{"exec":{"meta":{"args":["false"]}}},)"
            R"("file":{"index":"3"}})");
}

TEST(GrpcStatus, AVersionTravelsAsANumber) {
  errdefs::CompatibilityFeature feature;
  feature.set_version(20);
  feature.set_feature("x");
  Status status = UnknownError("x");
  status.AddDetail("github.com/moby/buildkit/errdefs.CompatibilityFeature+json",
                   feature.SerializeAsString());
  google::rpc::Status wire;

  ToRpcStatus(status, &wire);

  EXPECT_EQ(wire.details(0).value(), R"({"version":20,"feature":"x"})");
}

TEST(GrpcStatus, DetailsOfThisProcessStayInIt) {
  Status status = WithVertexAndSource();
  status.AddDetail("kiln/failed-step", "x");
  google::rpc::Status wire;

  ToRpcStatus(status, &wire);

  EXPECT_EQ(wire.details_size(), 2);
}

TEST(GrpcStatus, UnknownDetailsPassUnchanged) {
  Status status = NotFoundError("x");
  status.AddDetail("type.example/Thing", "\x01\x02");

  EXPECT_EQ(FromGrpc(ToGrpc(status)).details(), status.details());
}

}  // namespace
}  // namespace kiln::api
