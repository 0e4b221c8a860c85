// CDI files: what is read, what is refused, which device a name stands for.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "base/strings.h"
#include "worker/cdi/cdi_devices.h"
#include "worker/cdi/cdi_spec.h"

namespace kiln::worker::cdi {
namespace {

constexpr char kVendor[] = R"(cdiVersion: "0.7.0"
kind: "vendor.test/dev"
annotations: {org.mobyproject.buildkit.device.class: all}
devices:
- name: b
  containerEdits:
    env: [B=1]
    deviceNodes:
    - {path: /dev/kiln-null, hostPath: /dev/null}
- name: a
  annotations:
    org.mobyproject.buildkit.device.autoallow: true
    org.mobyproject.buildkit.device.class: first
  containerEdits:
    additionalGids: [44]
containerEdits:
  env: [ALL=1]
)";

std::string FaultOf(const std::string& text) {
  return ParseCdiSpec(text, "/f.yaml").status().message();
}

class Folder {
 public:
  Folder() : dir_(*MakeTempDir(::testing::TempDir(), "cdi-")) {}
  void Write(const std::string& name, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomic(JoinPath(dir_.path(), name), text).ok());
  }
  const std::string& path() const { return dir_.path(); }

 private:
  TempDir dir_;
};

TEST(CdiSpec, JsonAndYamlGiveTheSame) {
  auto yaml = ParseCdiSpec(kVendor, "f");
  ASSERT_TRUE(yaml.ok()) << yaml.status();
  EXPECT_EQ(yaml->devices[0].edits.device_nodes[0].host_path, "/dev/null");
  auto json = ParseCdiSpec(
      R"({"cdiVersion":"0.7.0","kind":"v.t/c","devices":[{"name":"x","containerEdits":{"env":["X=1"]}}]})",
      "f");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->devices[0].edits.env, std::vector<std::string>{"X=1"});
}

TEST(CdiSpec, FaultsAreNamed) {
  EXPECT_EQ(FaultOf(ReplaceAll(kVendor, "0.7.0", "0.5.0")),
            "invalid CDI Spec: the spec version must be at least v0.7.0");
  EXPECT_EQ(FaultOf(ReplaceAll(kVendor, "0.7.0", "0.0.9")),
            "invalid CDI Spec: invalid version \"0.0.9\"");
  EXPECT_EQ(FaultOf(ReplaceAll(kVendor, "vendor.test/dev", "vendor.test/-dev")),
            "invalid CDI Spec: invalid class. \"-dev\", should start with letter");
  EXPECT_TRUE(FaultOf(ReplaceAll(kVendor, "hostPath", "hostpath"))
                  .ends_with("while decoding JSON: json: unknown field \"hostpath\""));
  EXPECT_EQ(FaultOf(ReplaceAll(kVendor, "ALL=1", "ALL")),
            "invalid CDI Spec: invalid container edits: invalid environment variable \"ALL\"");
  EXPECT_TRUE(Contains(FaultOf("a: [b"), "error converting YAML to JSON: yaml: line "));
}

TEST(CdiSpec, AliasesThatExpandWithoutEndAreRefused) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    std::string item = StrCat("*a", i - 1);
    text += StrCat("a", i, ": &a", i, " [", item);
    for (int n = 0; n < 9; ++n) text += StrCat(",", item);
    text += "]\n";
  }
  EXPECT_TRUE(Contains(FaultOf(text), "document is too deep or too large"));
}

TEST(CdiDevices, ANameStandsForADeviceAKindOrAClass) {
  Folder folder;
  folder.Write("v.yaml", kVendor);
  folder.Write("ignored.txt", "not CDI");
  auto devices = CdiDevices::Open({"/nowhere", folder.path()}, {});
  ASSERT_TRUE(devices.ok()) << devices.status();
  using Names = std::vector<std::string>;
  auto find = [&](const char* name) { return (*devices)->Find({{.name = name}}).value_or({}); };
  EXPECT_EQ(find("vendor.test/dev=b"), Names{"vendor.test/dev=b"});
  EXPECT_EQ(find("vendor.test/dev"), Names{"vendor.test/dev=a"});
  EXPECT_EQ(find("vendor.test/dev=*"), (Names{"vendor.test/dev=a", "vendor.test/dev=b"}));
  EXPECT_EQ(find("first"), Names{"vendor.test/dev=a"});
  EXPECT_EQ(find("all"), Names{"vendor.test/dev=b"});
  EXPECT_EQ((*devices)->Find({{.name = "vendor.test/dev=c"}}).status().message(),
            "required device \"vendor.test/dev=c\" is not registered");
  EXPECT_TRUE((*devices)->Find({{.name = "x.y/z", .optional = true}})->empty());
}

TEST(CdiDevices, EditsOfTheFileComeOnceAndNodesAreCompleted) {
  Folder folder;
  folder.Write("v.yaml", kVendor);
  auto devices = CdiDevices::Open({folder.path()}, {"vendor.test/dev=b"});
  ASSERT_TRUE(devices.ok()) << devices.status();
  auto edits = (*devices)->EditsFor({{.name = "vendor.test/dev=*"}});
  ASSERT_TRUE(edits.ok()) << edits.status();
  EXPECT_EQ(edits->env, (std::vector<std::string>{"ALL=1", "B=1"}));
  EXPECT_EQ(edits->device_nodes[0].type, "c");
  EXPECT_EQ(edits->device_nodes[0].major, 1);
  EXPECT_EQ(edits->device_nodes[0].minor, 3);
  for (const Device& device : (*devices)->List()) EXPECT_TRUE(device.auto_allow) << device.name;
}

TEST(CdiDevices, ALaterFolderWinsAndABadFileKeepsTheDaemonFromStarting) {
  Folder first, second;
  first.Write("v.yaml", kVendor);
  second.Write("v.yaml", ReplaceAll(kVendor, "B=1", "B=2"));
  auto devices = CdiDevices::Open({first.path(), second.path()}, {});
  ASSERT_TRUE(devices.ok()) << devices.status();
  auto edits = (*devices)->EditsFor({{.name = "vendor.test/dev=b"}});
  ASSERT_TRUE(edits.ok()) << edits.status();
  EXPECT_EQ(edits->env, (std::vector<std::string>{"ALL=1", "B=2"}));
  second.Write("w.json", "{}");
  EXPECT_EQ(CdiDevices::Open({second.path()}, {}).status().message(),
            "failed to load CDI Spec invalid CDI Spec: invalid version \"\"");
}

}  // namespace
}  // namespace kiln::worker::cdi
