// Expectations are what the reference writes for the same attestations.
#include "worker/exporter/attestation.h"

#include <gtest/gtest.h>

#include "worker/exporter/spdx.h"

namespace kiln::worker {
namespace {

ExportAttestation Provenance() {
  ExportAttestation attestation;
  attestation.path = "provenance.json";
  attestation.in_toto_predicate_type = "https://slsa.dev/provenance/v1";
  attestation.content = [] { return std::string("{ \"a\": \"<b>\" }"); };
  return attestation;
}

std::string FaultOf(const ExportAttestation& attestation) {
  auto attested = Unbundle({&attestation}, "/tmp", {});
  return attested.ok() ? "" : std::string(attested.status().message());
}

TEST(Attestation, AStatementHasOneSubjectPerNameOfTheResult) {
  ExportAttestation attestation = Provenance();
  auto attested = Unbundle({&attestation}, "/tmp", {});
  ASSERT_TRUE(attested.ok());
  EXPECT_EQ(*StatementJson(attested->at(0), {}),
            R"({"_type":"https://in-toto.io/Statement/v1",)"
            R"("predicateType":"https://slsa.dev/provenance/v1","subject":[],)"
            R"("predicate":{"a":"\u003cb\u003e"}})");
  std::string named = *StatementJson(
      attested->at(0), {{"pkg:docker/a@1", {{"sha256", "aa"}}}, {"pkg:docker/b@1", {}}});
  EXPECT_NE(named.find(R"("subject":[{"name":"pkg:docker/a@1","digest":{"sha256":"aa"}},)"
                       R"({"name":"pkg:docker/b@1","digest":{}}])"),
            std::string::npos)
      << named;
}

TEST(Attestation, WhatAFrontendMayNotSayIsRefused) {
  ExportAttestation attestation = Provenance();
  attestation.path.clear();
  EXPECT_EQ(FaultOf(attestation), "attestation does not have set path");
  attestation = Provenance();
  attestation.content = {};
  EXPECT_EQ(FaultOf(attestation), "attestation does not have available content");
}

TEST(Spdx, FilesGetTheirLayersAndTheDocumentItsTool) {
  std::string document =
      R"({"files":[{"SPDXID":"SPDXRef-f","fileName":"a","checksums":[]},)"
      R"({"SPDXID":"SPDXRef-g","fileName":"b","comment":"own"}],"spdxVersion":"SPDX-2.2",)"
      R"("unknown":1,"SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"creators":["Tool:x"]}})";
  auto layer_of = [](const std::string& path) -> StatusOr<std::optional<std::string>> {
    return std::optional<std::string>("sha256:" + path);
  };
  auto out = SupplementSpdx(document, "buildkit-v1", layer_of);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(**out,
            R"({"spdxVersion":"SPDX-2.3","dataLicense":"","SPDXID":"SPDXRef-DOCUMENT","name":"",)"
            R"("documentNamespace":"","creationInfo":{"creators":["Tool: x","Tool: buildkit-v1"],)"
            R"("created":""},"files":[{"fileName":"a","SPDXID":"SPDXRef-f","checksums":[],)"
            R"("copyrightText":"","comment":"layerID: sha256:a"},{"fileName":"b",)"
            R"("SPDXID":"SPDXRef-g","checksums":null,"copyrightText":"","comment":"own"}]})");
  EXPECT_FALSE(SupplementSpdx("{}", "t", layer_of)->has_value());
  EXPECT_FALSE(SupplementSpdx("no JSON", "t", layer_of)->has_value());
}

}  // namespace
}  // namespace kiln::worker
