// What a frontend image is started with; the daemon is a fake bridge.
#include "frontend/gateway/gateway_frontend.h"

#include <gtest/gtest.h>

#include "llb/proto/ops.pb.h"

namespace kiln::frontend::gateway {
namespace {

class FakeReference : public Reference {
 public:
  StatusOr<std::string> ReadFile(std::string_view, const ReadFileOptions&) override {
    return std::string();
  }
  StatusOr<std::vector<FileStat>> ReadDir(std::string_view, std::string_view) override {
    return std::vector<FileStat>();
  }
  StatusOr<FileStat> StatFile(std::string_view) override { return FileStat(); }
  Status Evaluate() override { return OkStatus(); }
  DefinitionPtr definition() const override { return nullptr; }
};

class FakeBridge : public Bridge {
 public:
  const BuildOpts& build_opts() const override { return opts; }
  StatusOr<Result> Solve(const SolveRequest& request, std::stop_token) override {
    solved.push_back(request);
    Result result;
    result.ref = std::make_shared<FakeReference>();
    return result;
  }
  StatusOr<SourceMeta> ResolveSourceMeta(const pb::SourceOp& source, const ResolveRequest&,
                                         std::stop_token) override {
    SourceMeta meta;
    meta.identifier = source.identifier();
    meta.image_digest = Digest::Of("manifest");
    meta.image_config = config;
    return meta;
  }
  StatusOr<std::map<std::string, DefinitionPtr>> Inputs() override { return inputs; }
  void Warn(const Warning&) override {}

  BuildOpts opts;
  std::string config = R"({"architecture":"amd64","os":"linux","config":{}})";
  std::map<std::string, DefinitionPtr> inputs;
  std::vector<SolveRequest> solved;
};

struct Outcome {
  Status status;
  int runs = 0;
  FrontendProcess process;
};

Outcome RunFrontend(FakeBridge& bridge, GatewayOptions options = {}) {
  Outcome outcome;
  options.run = [&](Bridge&, const FrontendProcess& process, std::stop_token) -> StatusOr<Result> {
    ++outcome.runs;
    outcome.process = process;
    return Result();
  };
  auto frontend = NewFrontend(std::move(options));
  EXPECT_TRUE(frontend.ok());
  outcome.status = internal::AsStatus((*frontend)->Solve(bridge, {}));
  return outcome;
}

TEST(GatewayFrontend, TheEntrypointGetsTheOptionsInItsEnvironment) {
  FakeBridge bridge;
  bridge.opts.session_id = "s1";
  bridge.opts.opts = {{"source", "example.com/frontend:1"}, {"target", "x=y"}};
  bridge.config = R"({"architecture":"amd64","os":"linux","config":{"Env":["A=b"],)"
                  R"("Entrypoint":["/bin/frontend","-v"],"WorkingDir":"/w"}})";

  Outcome outcome = RunFrontend(bridge);

  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.process.args, (std::vector<std::string>{"/bin/frontend", "-v"}));
  EXPECT_EQ(outcome.process.env,
            (std::vector<std::string>{"A=b", "BUILDKIT_FRONTEND_OPT_0=source=example.com/frontend:1",
                                      "BUILDKIT_FRONTEND_OPT_1=target=x=y",
                                      "BUILDKIT_SESSION_ID=s1"}));
  EXPECT_EQ(outcome.process.cwd, "/w");
  EXPECT_FALSE(outcome.process.no_network);
}

TEST(GatewayFrontend, WithoutAnEntrypointRunIsTheProgram) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "frontend"}};

  EXPECT_EQ(RunFrontend(bridge).process.args, std::vector<std::string>{"/run"});
}

TEST(GatewayFrontend, TheImageIsPinnedAndMarkedAsAFrontend) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "frontend"}};

  RunFrontend(bridge);

  ASSERT_EQ(bridge.solved.size(), 1u);
  pb::Op op;
  ASSERT_TRUE(op.ParseFromString(bridge.solved[0].definition->def(0)));
  EXPECT_EQ(op.source().identifier(),
            "docker-image://docker.io/library/frontend:latest@" +
                std::string(Digest::Of("manifest").text()));
  EXPECT_EQ(op.source().attrs().at("image.recordtype"), "frontend");
}

TEST(GatewayFrontend, ALabelTakesTheNetworkAway) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "frontend"}};
  bridge.config = R"({"architecture":"amd64","os":"linux","config":{"Labels":)"
                  R"({"moby.buildkit.frontend.network.none":"true"}}})";

  EXPECT_TRUE(RunFrontend(bridge).process.no_network);
}

TEST(GatewayFrontend, InputsNeedAnImageThatTakesThem) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "frontend"}};
  bridge.inputs["base"] = std::make_shared<pb::Definition>();

  Outcome outcome = RunFrontend(bridge);

  EXPECT_EQ(outcome.status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(outcome.status.message(),
            "unsupported frontend capability moby.buildkit.frontend.inputs");
  EXPECT_EQ(outcome.runs, 0);
}

TEST(GatewayFrontend, ALabelSaysThatInputsAreTaken) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "frontend"}};
  bridge.inputs["base"] = std::make_shared<pb::Definition>();
  bridge.config = R"({"architecture":"amd64","os":"linux","config":{"Labels":)"
                  R"({"moby.buildkit.frontend.caps":"moby.buildkit.frontend.inputs+v1"}}})";

  EXPECT_EQ(RunFrontend(bridge).runs, 1);
}

TEST(GatewayFrontend, OnlyAllowedRepositoriesAreRun) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "evil/frontend:1"}};

  Outcome outcome = RunFrontend(bridge, {.run = {}, .allowed_repositories = {"docker/dockerfile"}});

  EXPECT_EQ(outcome.status.message(), "'evil/frontend:1' is not an allowed gateway source");
  bridge.opts.opts = {{"source", "docker/dockerfile:1"}};
  EXPECT_EQ(RunFrontend(bridge, {.run = {}, .allowed_repositories = {"docker/dockerfile"}}).runs, 1);
}

TEST(GatewayFrontend, ANamedSyntaxIsAnsweredWithoutAnImage) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "docker/dockerfile:1.7"}, {"cmdline", "docker/dockerfile:1.7"}};

  Outcome outcome = RunFrontend(bridge, {.run = {}, .built_in = {"docker/dockerfile:1*"}});

  EXPECT_EQ(outcome.runs, 0);
  ASSERT_EQ(bridge.solved.size(), 1u);
  EXPECT_EQ(bridge.solved[0].frontend, "dockerfile.v0");
  EXPECT_FALSE(bridge.solved[0].frontend_opts.contains("source"));
  EXPECT_TRUE(bridge.solved[0].frontend_opts.contains("cmdline"));
}

TEST(GatewayFrontend, WhichSyntaxesAreBuiltInIsAMatterOfTheirFullNames) {
  const struct {
    const char* pattern;
    const char* source;
    bool built_in;
  } cases[] = {
      {"docker/dockerfile:1*", "docker/dockerfile:1", true},
      {"docker/dockerfile:1*", "docker.io/docker/dockerfile:1.9-labs", true},
      {"docker.io/docker/dockerfile:*", "docker/dockerfile:1.7", true},
      {"docker/dockerfile*", "docker/dockerfile", true},
      {"docker/dockerfile:1*", "docker/dockerfile:2", false},
      {"docker/dockerfile:1*", "docker/dockerfile", false},
      {"docker/dockerfile:1*", "example.com/docker/dockerfile:1", false},
      {"docker/dockerfile:1*", "evil/docker/dockerfile:1", false},
      {"*/docker/dockerfile:?", "mirror.example.com:5000/docker/dockerfile:1", true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.pattern) + " " + c.source);
    FakeBridge bridge;
    bridge.opts.opts = {{"source", c.source}};
    Outcome outcome = RunFrontend(bridge, {.run = {}, .built_in = {c.pattern}});
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.runs, c.built_in ? 0 : 1);
  }
}

TEST(GatewayFrontend, ABuiltInSyntaxMustBeAllowedLikeAnyOther) {
  FakeBridge bridge;
  bridge.opts.opts = {{"source", "docker/dockerfile:1"}};

  Outcome outcome = RunFrontend(bridge, {.run = {},
                                         .allowed_repositories = {"example.com/frontend"},
                                         .built_in = {"docker/dockerfile:*"}});

  EXPECT_EQ(outcome.status.message(), "'docker/dockerfile:1' is not an allowed gateway source");
  EXPECT_TRUE(bridge.solved.empty());
}

TEST(GatewayFrontend, WithoutASourceThereIsNothingToRun) {
  FakeBridge bridge;

  EXPECT_EQ(RunFrontend(bridge).status.message(), "no source specified for gateway");
}

TEST(GatewayFrontend, TheOldDevelopmentModeIsRefused) {
  FakeBridge bridge;
  bridge.opts.opts = {{"gateway-devel", "true"}, {"source", "x"}};

  EXPECT_EQ(RunFrontend(bridge).status.message(), "development gateway is no longer supported");
}

}  // namespace
}  // namespace kiln::frontend::gateway
