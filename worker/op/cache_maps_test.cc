// Cache map digests: sha256 over the JSON that Go writes for the reference's structs,
// spelled out here by hand from its struct definitions.
#include "worker/op/cache_maps.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/go_json.h"
#include "worker/op/selectors.h"

namespace kiln::worker {
namespace {

template <typename Message>
Message Parse(const char* text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

Digest ExecDigest(const char* text, size_t inputs = 1) {
  pb::Platform platform = Parse<pb::Platform>("OS: 'linux' Architecture: 'amd64'");
  StatusOr<solver::CacheMap> map = ExecCacheMap(Parse<pb::ExecOp>(text), &platform, inputs);
  EXPECT_TRUE(map.ok()) << map.status();
  return map->digest;
}

TEST(GoJson, OmitsZeroesAndEscapesHtml) {
  EXPECT_EQ(GoJson(Parse<pb::Meta>("args: 'a<b>&\"\\\\\\n\\001' cwd: '/'")),
            R"({"args":["a\u003cb\u003e\u0026\"\\\n\u0001"],"cwd":"/"})");
  EXPECT_EQ(GoJson(Parse<pb::Mount>("dest: '/' output: -1 cacheOpt {}")),
            R"({"dest":"/","output":-1,"cacheOpt":{}})");
  EXPECT_EQ(GoJson(Parse<pb::FileActionMkFile>("path: '/f' mode: 420 data: 'hi' timestamp: -1 "
                                               "owner { user { byID: 0 } }")),
            R"({"path":"/f","mode":420,"data":"aGk=","owner":{"user":{"User":{}}},"timestamp":-1})");
  EXPECT_EQ(GoJson(Parse<pb::ChownOpt>("user { byName { name: 'u' input: 1 } } "
                                       "group { byID: 7 }")),
            R"({"user":{"User":{"byName":{"name":"u","input":1}}},"group":{"User":{"byId":7}}})");
  EXPECT_EQ(GoJson(Parse<pb::BuildOp>("builder: -1 attrs { key: 'b' value: '2' } "
                                      "attrs { key: 'a' value: '1' }")),
            R"({"builder":-1,"attrs":{"a":"1","b":"2"}})");
}

TEST(ExecCacheMap, PlainRunLeavesItsRootMountOut) {
  EXPECT_EQ(ExecDigest("meta { args: 'true' cwd: '/' extraHosts { Host: 'h' IP: '1.2.3.4' } "
                       "proxy_env { http_proxy: 'p' } } mounts { dest: '/' }"),
            Digest::Of(R"({"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["true"],"cwd":"/",)"
                       R"("extraHosts":[{"Host":"h"}]}},"OS":"linux","Arch":"amd64"})"));
}

TEST(ExecCacheMap, CacheIdsCountOnlyInTheirDefaultForm) {
  EXPECT_EQ(ExecDigest("meta { args: 'x' } mounts { dest: '/' } mounts { input: -1 dest: '/c' "
                       "output: -1 mountType: CACHE cacheOpt { ID: 'mine' sharing: LOCKED } }"),
            Digest::Of(R"({"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["x"]},"mounts":[)"
                       R"({"dest":"/"},{"input":-1,"dest":"/c","output":-1,"mountType":3,)"
                       R"("cacheOpt":{}}]},"OS":"linux","Arch":"amd64"})"));
  EXPECT_EQ(ExecDigest("meta { args: 'x' } mounts { dest: '/' } mounts { input: -1 dest: '/c' "
                       "output: -1 mountType: CACHE cacheOpt { ID: 'ns//c' } }"),
            Digest::Of(R"({"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["x"]},"mounts":[)"
                       R"({"dest":"/"},{"input":-1,"dest":"/c","output":-1,"mountType":3,)"
                       R"("cacheOpt":{"ID":"ns//c"}}]},"OS":"linux","Arch":"amd64"})"));
}

TEST(ExecCacheMap, ContentCountsWhereNothingUnselectedCanLeak) {
  pb::ExecOp op = Parse<pb::ExecOp>(
      "meta { args: 'x' } mounts { dest: '/' } "
      "mounts { input: 1 dest: '/m' selector: 'sub/../dir' output: -1 } "
      "mounts { input: 2 dest: '/w' selector: 'part' output: 1 }");
  StatusOr<solver::CacheMap> map = ExecCacheMap(op, nullptr, 3);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_FALSE(map->deps[0].content_digest);
  EXPECT_EQ(map->deps[0].selector, Digest::Of("/"));
  EXPECT_TRUE(map->deps[1].content_digest);
  EXPECT_EQ(map->deps[1].selector, Digest::Of("/dir"));
  EXPECT_FALSE(map->deps[2].content_digest);
}

TEST(ExecCacheMap, RefusesInputsThatAreNotThere) {
  EXPECT_FALSE(ExecCacheMap(Parse<pb::ExecOp>("meta { args: 'x' } mounts { input: 5 dest: '/' }"),
                            nullptr, 1)
                   .ok());
}

TEST(FileCacheMap, CopyIsKeyedByBaseNameAndSelector) {
  pb::FileOp op = Parse<pb::FileOp>(
      "actions { secondaryInput: 1 output: 0 copy { src: '/a/b' dest: '/d' mode: -1 "
      "followSymlink: true timestamp: -1 } }");
  StatusOr<solver::CacheMap> map = FileCacheMap(op, 2);
  ASSERT_TRUE(map.ok()) << map.status();
  std::string action =
      R"({"src":"b","dest":"/d","mode":-1,"followSymlink":true,"timestamp":-1})";
  EXPECT_EQ(map->digest, Digest::Of(StrCat(R"({"Type":"buildkit.file.v0","Actions":[")",
                                           Base64Encode(action), "\"]}")));
  EXPECT_EQ(map->deps[1].selector, Digest::Of("/a/b"));
  EXPECT_TRUE(map->deps[1].content_digest);
  EXPECT_TRUE(map->deps[0].selector.empty());
  EXPECT_FALSE(map->deps[0].content_digest);
}

TEST(FileCacheMap, UnusualChainsKeepTheirIndexes) {
  pb::FileOp op = Parse<pb::FileOp>(
      "actions { input: -1 secondaryInput: -1 output: 0 rm { path: '/x' } }");
  StatusOr<solver::CacheMap> map = FileCacheMap(op, 0);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->digest,
            Digest::Of(StrCat(R"({"Type":"buildkit.file.v0","Actions":[")",
                              Base64Encode(R"({"path":"/x"})"),
                              R"("],"indexes":[[-1,-1,0]]})")));
}

TEST(FileCacheMap, SelectorsAreSortedBackwards) {
  pb::FileOp op = Parse<pb::FileOp>(
      "actions { secondaryInput: 1 output: -1 copy { src: '/a' dest: '/' "
      "owner { user { byName { name: 'u' input: 1 } } } } } "
      "actions { input: 2 secondaryInput: 1 output: 0 copy { src: '/z*' dest: '/' "
      "allowWildcard: true } }");
  StatusOr<solver::CacheMap> map = FileCacheMap(op, 2);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->deps[1].selector,
            Digest::Of(std::string("/z*\0/etc/passwd\0/a", 18)));
}

TEST(DedupePaths, PathsBelowOthersGo) {
  EXPECT_EQ(DedupePaths({"/foobar", "/foo", "/foo/x", "/foo"}),
            (std::vector<std::string>{"/foo", "/foobar"}));
  EXPECT_EQ(DedupePaths({"/a", "/"}), (std::vector<std::string>{"/"}));
}

}  // namespace
}  // namespace kiln::worker
