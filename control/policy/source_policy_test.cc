// Expectations are those of the reference's policy engine.
#include "control/policy/source_policy.h"

#include <gtest/gtest.h>

#include "llb/graph.h"
#include "llb/proto/ops.pb.h"
#include "llb/proto/policy.pb.h"
#include "llb/source.h"

namespace kiln::control {
namespace {

namespace spb = moby::buildkit::v1::sourcepolicy;

spb::Rule* Add(spb::Policy* policy, spb::PolicyAction action, spb::MatchType type,
               const std::string& identifier) {
  spb::Rule* rule = policy->add_rules();
  rule->set_action(action);
  rule->mutable_selector()->set_match_type(type);
  rule->mutable_selector()->set_identifier(identifier);
  return rule;
}

std::string Evaluate(const spb::Policy& policy, const std::string& identifier) {
  pb::SourceOp source;
  source.set_identifier(identifier);
  auto parsed = SourcePolicy::Parse({policy.SerializeAsString()});
  if (!parsed.ok()) return std::string(parsed.status().message());
  auto changed = parsed->Evaluate(&source);
  return changed.ok() ? source.identifier() : std::string(changed.status().message());
}

TEST(SourcePolicy, TheLastMatchingRuleDecides) {
  spb::Policy policy;
  Add(&policy, spb::DENY, spb::WILDCARD, "docker-image://*");
  Add(&policy, spb::ALLOW, spb::EXACT, "docker-image://docker.io/library/a:1");
  EXPECT_EQ(Evaluate(policy, "docker-image://docker.io/library/a:1"),
            "docker-image://docker.io/library/a:1");
  EXPECT_EQ(Evaluate(policy, "docker-image://docker.io/library/b:1"),
            "source \"docker-image://docker.io/library/b:1\" denied by policy: "
            "source denied by policy");
}

TEST(SourcePolicy, WildcardsAndExpressionsFillTheNewIdentifier) {
  spb::Policy policy;
  Add(&policy, spb::CONVERT, spb::WILDCARD, "docker-image://docker.io/library/golang:*")
      ->mutable_updates()
      ->set_identifier("docker-image://docker.io/library/go:${1}-alpine");
  Add(&policy, spb::CONVERT, spb::REGEX, "^https://(?P<host>[a-z]+)\\.old/(.*)$")
      ->mutable_updates()
      ->set_identifier("https://${host}.new/$2");
  EXPECT_EQ(Evaluate(policy, "docker-image://docker.io/library/golang:1.19"),
            "docker-image://docker.io/library/go:1.19-alpine");
  EXPECT_EQ(Evaluate(policy, "https://a.old/b/c"), "https://a.new/b/c");
}

TEST(SourcePolicy, AConversionInACircleIsAnError) {
  spb::Policy policy;
  Add(&policy, spb::CONVERT, spb::EXACT, "http://a")->mutable_updates()->set_identifier("http://b");
  Add(&policy, spb::CONVERT, spb::EXACT, "http://b")->mutable_updates()->set_identifier("http://a");
  EXPECT_EQ(Evaluate(policy, "http://a"),
            "too many mutations on a single source: too many operations");
}

TEST(SourcePolicy, ARuleWithoutASelectorIsRefused) {
  spb::Policy policy;
  policy.add_rules();
  EXPECT_EQ(Evaluate(policy, "http://a"), "invalid nil selector in policy");
}

TEST(ChangeSources, StepsAboveAChangedSourceStillFindIt) {
  auto definition = llb::Http("https://a.old/x").Marshal();
  ASSERT_TRUE(definition.ok());
  auto changed = ChangeSources(*definition, [](pb::Op* op) {
    op->mutable_source()->set_identifier("https://a.new/x");
    return OkStatus();
  });
  ASSERT_TRUE(changed.ok());
  auto edge = llb::LoadDefinition(**changed);
  ASSERT_TRUE(edge.ok()) << edge.status().message();
  EXPECT_EQ(edge->vertex->op->source().identifier(), "https://a.new/x");
  auto same = ChangeSources(*definition, [](pb::Op*) { return OkStatus(); });
  EXPECT_EQ(same->get(), definition->get());
}

// As GitIdentifier.String of the reference.
TEST(NormalizeIdentifier, AGitSourceHasOneName) {
  auto name = [](const std::string& identifier, const std::string& full_url = "") {
    pb::SourceOp source;
    source.set_identifier(identifier);
    if (!full_url.empty()) (*source.mutable_attrs())["git.fullurl"] = full_url;
    NormalizeIdentifier(&source);
    return source.identifier();
  };
  EXPECT_EQ(name("git://github.com/user/repo.git#main:../absolute/path"),
            "git://github.com/user/repo.git#main:absolute/path");
  EXPECT_EQ(name("git://github.com/user/repo.git"), "git://github.com/user/repo.git");
  EXPECT_EQ(name("git://github.com/user/repo.git#main"), "git://github.com/user/repo.git#main");
  EXPECT_EQ(name("git://h/r.git#:sub", "git@other.example:user/r.git"),
            "git://other.example/user/r.git#:sub");
  EXPECT_EQ(name("docker-image://a/../b"), "docker-image://a/../b");
  EXPECT_EQ(name("https://h/a/../b"), "https://h/a/../b");
}

}  // namespace
}  // namespace kiln::control
