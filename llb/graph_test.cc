// Decoding of definitions, against the golden vertices and hand-made bad input.
#include "llb/graph.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "llb/proto/ops.pb.h"

namespace kiln::llb {
namespace {

nlohmann::json GoldenGraphs() {
  StatusOr<std::string> text = ReadFile(KILN_SOURCE_DIR "/tests/golden/llb/vertices.json");
  EXPECT_TRUE(text.ok()) << text.status();
  return nlohmann::json::parse(text.ok() ? *text : "[]");
}

pb::Op Source(const std::string& identifier) {
  pb::Op op;
  op.mutable_source()->set_identifier(identifier);
  return op;
}

// Adds `op` to `definition` and returns its digest.
std::string Add(pb::Definition* definition, const pb::Op& op) {
  const std::string bytes = MarshalDeterministic(op);
  definition->add_def(bytes);
  return Digest::Of(bytes).text();
}

void AddInput(pb::Op* op, const std::string& digest, int64_t index = 0) {
  pb::Input* input = op->add_inputs();
  input->set_digest(digest);
  input->set_index(index);
}

void AddTerminal(pb::Definition* definition, const std::string& digest) {
  pb::Op op;
  AddInput(&op, digest);
  Add(definition, op);
}

std::string LoadError(const pb::Definition& definition) {
  return LoadDefinition(definition).status().message();
}

TEST(Graph, GoldenVerticesKeepTheirBytesAndDigests) {
  const nlohmann::json graphs = GoldenGraphs();
  ASSERT_FALSE(graphs.empty());
  for (const auto& graph : graphs) {
    pb::Definition definition;
    for (const auto& vertex : graph["vertices"]) {
      StatusOr<std::string> bytes = HexDecode(vertex["bytesHex"].get<std::string>());
      ASSERT_TRUE(bytes.ok());
      pb::Op op;
      ASSERT_TRUE(op.ParseFromString(*bytes));
      EXPECT_EQ(MarshalDeterministic(op), *bytes) << vertex["name"];
      EXPECT_EQ(Digest::Of(*bytes).text(), vertex["digest"]);
      definition.add_def(*bytes);
    }
    StatusOr<Edge> edge = LoadDefinition(definition);
    ASSERT_TRUE(edge.ok()) << graph["name"] << edge.status();
    EXPECT_EQ(edge->vertex->digest.text(), graph["head"]);
  }
}

TEST(Graph, AnEmptyDefinitionIsScratch) {
  StatusOr<Edge> edge = LoadDefinition(pb::Definition());
  ASSERT_TRUE(edge.ok());
  EXPECT_EQ(edge->vertex, nullptr);
}

TEST(Graph, EqualInputsAreOneVertex) {
  pb::Definition definition;
  const std::string base = Add(&definition, Source("docker-image://a"));
  pb::Op merge;
  AddInput(&merge, base);
  AddInput(&merge, base);
  merge.mutable_merge()->add_inputs()->set_input(0);
  merge.mutable_merge()->add_inputs()->set_input(1);
  AddTerminal(&definition, Add(&definition, merge));
  StatusOr<Edge> edge = LoadDefinition(definition);
  ASSERT_TRUE(edge.ok()) << edge.status();
  EXPECT_EQ(edge->vertex->inputs[0].vertex, edge->vertex->inputs[1].vertex);
  EXPECT_EQ(edge->vertex->name, "merge (docker-image://a, docker-image://a)");
}

TEST(Graph, ACustomNameWinsOverTheDerivedOne) {
  pb::Definition definition;
  const std::string base = Add(&definition, Source("docker-image://a"));
  (*(*definition.mutable_metadata())[base].mutable_description())["llb.customname"] = "mine";
  AddTerminal(&definition, base);
  StatusOr<Edge> edge = LoadDefinition(definition);
  ASSERT_TRUE(edge.ok());
  EXPECT_EQ(edge->vertex->name, "mine");
}

TEST(Graph, BadInputIsRejectedWithAReason) {
  pb::Definition garbage;
  garbage.add_def("\xff\xff\xff");
  EXPECT_EQ(LoadError(garbage), "failed to parse llb proto op: unexpected EOF");

  pb::Definition one;
  Add(&one, Source("a"));
  EXPECT_EQ(LoadError(one), "invalid LLB with 1 vertexes");

  pb::Definition no_input;
  Add(&no_input, Source("a"));
  Add(&no_input, Source("b"));
  EXPECT_EQ(LoadError(no_input), "invalid LLB with no inputs on last vertex");

  pb::Definition missing;
  Add(&missing, Source("a"));
  AddTerminal(&missing, "sha256:none");
  EXPECT_EQ(LoadError(missing), "invalid missing input digest sha256:none");

  pb::Definition negative;
  pb::Op op;
  AddInput(&op, Add(&negative, Source("a")), -1);
  Add(&negative, op);
  EXPECT_EQ(LoadError(negative), "invalid input 0 output index -1");
}

TEST(Graph, AnOpWithBadIndexesIsNamed) {
  pb::Definition definition;
  pb::Op exec;
  exec.mutable_exec()->mutable_meta()->add_args("true");
  pb::Mount* mount = exec.mutable_exec()->add_mounts();
  mount->set_dest("/");
  mount->set_input(1);
  AddInput(&exec, Add(&definition, Source("a")));
  const std::string digest = Add(&definition, exec);
  AddTerminal(&definition, digest);
  EXPECT_EQ(LoadError(definition), "vertex " + digest + ": missing input 1");
}

TEST(Graph, TooManyOpsAreRejectedBeforeAnyIsRead) {
  pb::Definition definition;
  for (int i = 0; i < 5; ++i) definition.add_def("");
  EXPECT_FALSE(LoadDefinition(definition, {.max_ops = 4}).ok());
}

TEST(Graph, ALongChainLoadsAndGoesAwayWithoutRecursion) {
  pb::Definition definition;
  std::string last = Add(&definition, Source("a"));
  for (int i = 0; i < 20'000; ++i) {
    pb::Op file;
    AddInput(&file, last);
    pb::FileAction* action = file.mutable_file()->add_actions();
    action->set_secondaryinput(-1);
    action->mutable_mkdir()->set_path("/d");
    last = Add(&definition, file);
  }
  AddTerminal(&definition, last);
  StatusOr<Edge> edge = LoadDefinition(definition);
  ASSERT_TRUE(edge.ok()) << edge.status();
  EXPECT_EQ(edge->vertex->name, "mkdir /d");
}

pb::Op Step(const std::string& input, pb::NetMode network) {
  pb::Op op;
  AddInput(&op, input);
  op.mutable_exec()->mutable_meta()->add_args("true");
  op.mutable_exec()->mutable_meta()->set_cwd("/");
  op.mutable_exec()->set_network(network);
  pb::Mount* root = op.mutable_exec()->add_mounts();
  root->set_dest("/");
  return op;
}

// As the reference's recomputeDigests: the mark counts for the step, and its digest for
// what stands on it.
TEST(Graph, StepsBehindAProxyAreOtherVertices) {
  pb::Definition definition;
  const std::string source = Add(&definition, Source("docker-image://base"));
  const pb::Op online = Step(source, pb::UNSET);
  const std::string first = Add(&definition, online);
  const std::string second = Add(&definition, Step(first, pb::NONE));
  AddTerminal(&definition, second);
  StatusOr<Edge> plain = LoadDefinition(definition);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->vertex->digest.text(), second);
  EXPECT_FALSE(plain->vertex->inputs[0].vertex->proxy_network);

  StatusOr<Edge> proxied = LoadDefinition(definition, {.proxy_network = true});
  ASSERT_TRUE(proxied.ok()) << proxied.status();
  const Vertex& offline_step = *proxied->vertex;
  const Vertex& online_step = *offline_step.inputs[0].vertex;
  const std::string mark("\0buildkit.proxy-network.v0", 26);
  const Digest marked = Digest::Of(MarshalDeterministic(online) + mark);
  EXPECT_TRUE(online_step.proxy_network);
  EXPECT_EQ(online_step.digest, marked);
  EXPECT_EQ(online_step.declared.text(), first);
  EXPECT_FALSE(offline_step.proxy_network);
  EXPECT_EQ(offline_step.digest,
            Digest::Of(MarshalDeterministic(Step(marked.text(), pb::NONE))));
  EXPECT_EQ(offline_step.declared.text(), second);
  EXPECT_EQ(online_step.inputs[0].vertex->digest.text(), source);
}

TEST(Graph, ANetworkOfAnUnknownKindIsNoneForAProxy) {
  pb::Definition definition;
  const std::string source = Add(&definition, Source("docker-image://base"));
  AddTerminal(&definition, Add(&definition, Step(source, static_cast<pb::NetMode>(7))));
  EXPECT_EQ(LoadDefinition(definition, {.proxy_network = true}).status().message(),
            "network mode 7 is not allowed when proxy network is enabled");
}

}  // namespace
}  // namespace kiln::llb
