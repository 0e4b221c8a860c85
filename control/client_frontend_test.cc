// A client-driven build: references by id, one result.
#include "control/client_frontend.h"

#include <gtest/gtest.h>

#include <thread>

namespace kiln::control {
namespace {

class FakeReference : public frontend::Reference {
 public:
  StatusOr<std::string> ReadFile(std::string_view, const frontend::ReadFileOptions&) override {
    return std::string("text");
  }
  StatusOr<std::vector<frontend::FileStat>> ReadDir(std::string_view, std::string_view) override {
    return std::vector<frontend::FileStat>();
  }
  StatusOr<frontend::FileStat> StatFile(std::string_view) override { return frontend::FileStat(); }
  Status Evaluate() override { return OkStatus(); }
  frontend::DefinitionPtr definition() const override { return nullptr; }
};

class FakeBridge : public frontend::Bridge {
 public:
  const frontend::BuildOpts& build_opts() const override { return opts_; }
  StatusOr<frontend::Result> Solve(const frontend::SolveRequest&, std::stop_token) override {
    return frontend::Result();
  }
  StatusOr<frontend::SourceMeta> ResolveSourceMeta(const pb::SourceOp&,
                                                   const frontend::ResolveRequest&,
                                                   std::stop_token) override {
    return frontend::SourceMeta();
  }
  StatusOr<std::map<std::string, frontend::DefinitionPtr>> Inputs() override {
    return std::map<std::string, frontend::DefinitionPtr>();
  }
  void Warn(const frontend::Warning&) override {}

 private:
  frontend::BuildOpts opts_;
};

TEST(ClientFrontend, ARegisteredReferenceIsFoundById) {
  FakeBridge bridge;
  ClientFrontend client(bridge);
  auto reference = std::make_shared<FakeReference>();

  std::string id = client.Register(reference);

  auto found = client.Find(id);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->get(), reference.get());
}

TEST(ClientFrontend, ReferencesWithoutNumberAreRefusedBeforeTheyFillTheMemory) {
  FakeBridge bridge;
  ClientFrontend client(bridge, nullptr, /*room=*/100 << 10);
  int count = 0;

  while (client.CheckRoom().ok() && count < 1000) {
    client.Register(std::make_shared<FakeReference>());
    ++count;
  }

  EXPECT_GT(count, 5);
  EXPECT_LT(count, 50);
  EXPECT_EQ(client.CheckRoom().code(), StatusCode::kResourceExhausted);
}

TEST(ClientFrontend, ScratchHasNoIdAndIsReturnedAsNull) {
  FakeBridge bridge;
  ClientFrontend client(bridge);

  EXPECT_EQ(client.Register(nullptr), "");
  auto returned = client.Returned("");
  ASSERT_TRUE(returned.ok());
  EXPECT_EQ(returned->get(), nullptr);
}

TEST(ClientFrontend, UnknownIdsAreErrors) {
  FakeBridge bridge;
  ClientFrontend client(bridge);

  EXPECT_EQ(client.Returned("x").status().message(), "return reference x not found");
  EXPECT_TRUE(client.Find("x").status().message().starts_with("no such ref: x"));
}

TEST(ClientFrontend, WaitGetsWhatReturnGave) {
  FakeBridge bridge;
  ClientFrontend client(bridge);
  std::jthread driver([&] {
    frontend::Result result;
    result.metadata["k"] = "v";
    EXPECT_TRUE(client.Return(std::move(result)).ok());
  });

  auto result = client.Wait({});

  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->metadata.at("k"), "v");
}

TEST(ClientFrontend, ASecondResultIsRefused) {
  FakeBridge bridge;
  ClientFrontend client(bridge);
  ASSERT_TRUE(client.Return(UnknownError("first")).ok());

  EXPECT_EQ(client.Return(frontend::Result()).message(), "gateway result is already set");
  EXPECT_EQ(client.Wait({}).status().message(), "first");
}

TEST(ClientFrontend, AStopRequestEndsTheWait) {
  FakeBridge bridge;
  ClientFrontend client(bridge);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });

  EXPECT_TRUE(IsCancelled(client.Wait(stop.get_token()).status()));
}

TEST(ClientFrontend, AResultIsFoundByTheIdThatItsExportersAreTold) {
  FakeBridge bridge;
  ClientFrontend client(bridge);
  auto reference = std::make_shared<FakeReference>();
  client.Name("record", reference);
  client.Name("scratch", nullptr);

  auto found = client.Find("record");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->get(), reference.get());
  EXPECT_FALSE(client.Find("scratch").ok());
}

}  // namespace
}  // namespace kiln::control
