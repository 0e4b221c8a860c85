// Expectations are documents that the reference's daemon wrote.
#include "control/provenance/predicate.h"

#include <gtest/gtest.h>

#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

RunFacts Run() {
  return {.invocation_id = "id",
          .started = Time::FromSeconds(1),
          .finished = Time::FromSeconds(2),
          .compatibility_version = 30,
          .layers = {}};
}

Capture FromLayout() {
  Capture capture;
  capture.request.frontend = "dockerfile.v0";
  capture.request.args = {{"build-arg:N", "5"}, {"label:l", "v"}};
  capture.sources.locals = {"context", "dockerfile"};
  capture.AddImage({"docker.io/library/base@sha256:be64", Platform{"linux", "amd64", "", "", {}},
                    Digest::Trusted("sha256:be64"), true});
  auto root = std::make_shared<RequestUse>();
  root->request.args = capture.request.args;
  capture.request.root = root;
  capture.network_access = true;
  return capture;
}

std::string JsonOf(const PredicateOptions& options, const Capture& capture) {
  auto predicate = Predicate::Make(options, capture, nullptr);
  EXPECT_TRUE(predicate.ok()) << predicate.status().message();
  return (*predicate)->Json(Run()).value_or("");
}

TEST(Predicate, MinHidesArgumentsAndSaysThatTheRequestIsIncomplete) {
  Capture capture = FromLayout();
  capture.sources.images.clear();
  std::string json = JsonOf({.max = false, .dockerfile_version = "1.26.0"}, capture);
  EXPECT_EQ(json,
            R"({"buildDefinition":{"buildType":"https://github.com/moby/buildkit/blob/master/)"
            R"(docs/attestations/slsa-definitions.md","externalParameters":{"configSource":{},)"
            R"("request":{"frontend":"dockerfile.v0","locals":[{"name":"context"},)"
            R"({"name":"dockerfile"}],"root":{"configSource":{},"request":{}},)"
            R"("compatibilityVersion":30}},"internalParameters":{"builderPlatform":"linux/amd64",)"
            R"("dockerfileVersion":"1.26.0"}},"runDetails":{"builder":{"id":""},"metadata":)"
            R"({"invocationId":"id","startedOn":"1970-01-01T00:00:01Z",)"
            R"("finishedOn":"1970-01-01T00:00:02Z","buildkit_metadata":{},)"
            R"("buildkit_completeness":{"request":false,"resolvedDependencies":false}}}})");
}

TEST(Predicate, CustomFactsAreSortedAmongTheDaemonsOwn) {
  std::string json = JsonOf({.max = false, .custom_env = R"({"zeta":[1],"alpha":"a"})"}, {});
  EXPECT_NE(json.find(R"("internalParameters":{"alpha":"a","builderPlatform":"linux/amd64",)"
                      R"("zeta":[1]})"),
            std::string::npos)
      << json;
}

TEST(Predicate, ASourceThatIsTheContextTellsWhereTheRequestCameFrom) {
  Capture capture;
  capture.request.frontend = "dockerfile.v0";
  capture.request.args = {{"context", "https://u:p@example.com/r.git#main:sub"},
                          {"vcs:source", "https://t@example.com/r.git"}};
  capture.AddGit({"https://u:p@example.com/r.git#main", std::string(40, 'a')});
  // The arguments are filtered before, so that both addresses are without credentials.
  capture.request.args = FilterArgs(capture.request.args);
  std::string json = JsonOf({.slsa02 = true, .max = false}, capture);
  EXPECT_NE(json.find(R"("configSource":{"uri":"https://xxxxx:xxxxx@example.com/r.git#main:sub",)"
                      R"("digest":{"sha1":"aaaaaaaaaa)"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("vcs":{"source":"https://xxxxx@example.com/r.git"})"), std::string::npos);
  EXPECT_NE(json.find(R"(#hermetic":true)"), std::string::npos);
}

TEST(Predicate, AttributesAreCheckedInTheReferencesWords) {
  EXPECT_EQ(ParsePredicateOptions({{"mode", "some"}}).status().message(), "invalid mode \"some\"");
  EXPECT_EQ(ParsePredicateOptions({{"version", "v9"}}).status().message(),
            "invalid provenance SLSA version: v9");
  EXPECT_EQ(ParsePredicateOptions({{"reproducible", "perhaps"}}).status().message(),
            "failed to parse reproducible flag \"perhaps\": strconv.ParseBool: parsing "
            "\"perhaps\": invalid syntax");
  EXPECT_TRUE(ParsePredicateOptions({{"mode", "full"}})->max);
}

TEST(Capture, AnImageKnownByTagIsNotNamedByDigestAsWell) {
  Capture capture;
  std::string digest = "@sha256:" + std::string(64, 'a');
  capture.AddImage({"docker.io/library/a:latest" + digest, {}, {}, false});
  capture.AddImage({"docker.io/library/a:latest", {}, {}, false});
  capture.AddImage({"docker.io/library/b" + digest, {}, {}, false});
  ASSERT_TRUE(capture.OptimizeImages().ok());
  ASSERT_EQ(capture.sources.images.size(), 2u);
  EXPECT_EQ(capture.sources.images[0].ref, "docker.io/library/a:latest");
}

TEST(Capture, ASecretThatOneStepNeedsIsNotOptional) {
  Capture capture;
  capture.AddSecret({"s", true});
  capture.AddSecret({"s", false});
  capture.AddSecret({"s", true});
  ASSERT_EQ(capture.request.secrets.size(), 1u);
  EXPECT_FALSE(capture.request.secrets[0].optional);
}

TEST(Predicate, TheProxyIsToldWithWhatItMissed) {
  Capture capture;
  capture.proxy_network = true;
  capture.AddHttp({"http://h/file", Digest::Trusted("sha256:ab")});
  std::string json = JsonOf({}, capture);
  EXPECT_NE(json.find(R"("buildkit_metadata":{"network":{"mode":"proxy"}})"), std::string::npos)
      << json;
  capture.incomplete_materials = true;
  capture.proxy_gaps = {{"sha256:op", "wget x", "GET", "http://h/no", "unsuccessful_response"}};
  json = JsonOf({}, capture);
  EXPECT_NE(json.find(R"("network":{"mode":"proxy","proxy":{"incomplete":[{"op":"sha256:op",)"
                      R"("name":"wget x","method":"GET","uri":"http://h/no",)"
                      R"("reason":"unsuccessful_response"}]}})"),
            std::string::npos)
      << json;
}

TEST(Predicate, MaterialsThatAreMissingAreNamed) {
  Capture capture;
  capture.AddLocal("context");
  capture.incomplete_materials = true;
  capture.proxy_gaps = {{"o", "", "GET", "http://h/no", "upstream_error"}};
  Status refused = Predicate::Make({.complete_materials = true}, capture, nullptr).status();
  EXPECT_EQ(refused.message(),
            "provenance materials are incomplete\n\n"
            "The build requested complete provenance materials, but not all dependencies could be "
            "captured.\n\n"
            "Uncaptured local sources:\n  - context\n    reason: local_source\n\n"
            "Uncaptured requests:\n  - o\n    method: GET\n    url: http://h/no\n"
            "    reason: upstream_error");
  const StatusDetail* detail = refused.FindDetail(
      "github.com/moby/buildkit/errdefs.ProvenanceMaterialsIncomplete+json");
  ASSERT_NE(detail, nullptr);
  // errdefs.proto: repeated message 1 of op 1, name 2, method 3, uri 4, final_uri 5, reason 6.
  EXPECT_EQ(detail->bytes,
            "\x0a\x17\x12\x07" "context" "\x32\x0c" "local_source"
            "\x0a\x25\x0a\x01" "o" "\x1a\x03" "GET" "\x22\x0b" "http://h/no"
            "\x32\x0e" "upstream_error");
}

}  // namespace
}  // namespace kiln::control
