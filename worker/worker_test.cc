// A worker over a real record store: needs root, runc and a static busybox.
#include "worker/worker.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strings.h"
#include "cache/database.h"
#include "cache/testing/fake_content_store.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

namespace kiln::worker {
namespace {

class NoSessions : public SessionTable {
 public:
  StatusOr<ClientSessionPtr> Get(std::string_view id, std::chrono::milliseconds) override {
    return NotFoundError(StrCat("no active session for ", id));
  }
};

class Collected : public solver::ProgressSink {
 public:
  void Send(solver::ProgressEvent event) override {
    if (const auto* log = std::get_if<solver::LogEvent>(&event)) text += log->bytes;
  }
  std::string text;
};

class OneJob : public solver::JobContext {
 public:
  std::vector<std::string> Sessions() const override { return {}; }
  std::vector<std::string> Builds() const override { return {"b"}; }
  solver::VertexProgress& progress() override { return progress_; }
  std::stop_token stop() const override { return {}; }
  int compatibility_version() const override { return 30; }
  StatusOr<cache::Ref> SubBuild(const llb::Edge&) override { return UnimplementedError("no"); }
  StatusOr<std::string> Memo(std::string_view,
                             const std::function<StatusOr<std::string>()>& compute) override {
    return compute();
  }
  Collected sink;

 private:
  solver::VertexProgress progress_{Digest::Of("v"), sink};
};

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() : dir_(*MakeTempDir("/tmp", "worker")) {}
  void SetUp() override {
    if (::geteuid() != 0 || !PathExists("/bin/busybox")) GTEST_SKIP() << "needs root, busybox";
    database_ = *cache::Database::Open(JoinPath(dir_.path(), "index.db"));
    cache::RefStoreOptions options;
    options.root = JoinPath(dir_.path(), "refs");
    options.content = &content_;
    options.database = database_.get();
    refs_ = std::move(cache::RefStore::Open(options)).value();
    WorkerOptions worker;
    worker.root = JoinPath(dir_.path(), "worker");
    worker.refs = refs_.get();
    worker.sessions = &sessions_;
    StatusOr<std::unique_ptr<Worker>> opened = Worker::Open(std::move(worker));
    ASSERT_TRUE(opened.ok()) << opened.status();
    worker_ = *std::move(opened);
  }
  StatusOr<std::vector<cache::Ref>> Run(pb::Op op, std::vector<cache::Ref> inputs) {
    auto vertex = std::make_shared<llb::Vertex>();
    vertex->op = std::make_shared<const pb::Op>(std::move(op));
    vertex->metadata = std::make_shared<const pb::OpMetadata>();
    vertex->inputs.resize(inputs.size());
    ASSIGN_OR_RETURN(std::unique_ptr<solver::Op> made, worker_->Resolve(vertex));
    job_.sink.text.clear();
    return made->Exec(inputs, job_);
  }
  pb::Op Parse(const std::string& text) {
    pb::Op op;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &op)) << text;
    return op;
  }

  TempDir dir_;
  cache::FakeContentStore content_;
  std::unique_ptr<cache::Database> database_;
  std::unique_ptr<cache::RefStore> refs_;
  NoSessions sessions_;
  OneJob job_;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, StepsBuildOnEachOthersTrees) {
  pb::Op file = Parse(
      "file { actions { input: -1 secondaryInput: -1 output: -1 mkdir { path: '/bin' mode: 493 "
      "timestamp: -1 } } actions { input: 0 secondaryInput: -1 output: 0 mkfile { path: '/bin/sh' "
      "mode: 493 timestamp: -1 } } }");
  file.mutable_file()->mutable_actions(1)->mutable_mkfile()->set_data(*ReadFile("/bin/busybox"));
  StatusOr<std::vector<cache::Ref>> base = Run(file, {});
  ASSERT_TRUE(base.ok()) << base.status();
  ASSERT_EQ(base->size(), 1u);

  std::vector<cache::Ref> inputs;
  inputs.push_back((*base)[0].Clone());
  StatusOr<std::vector<cache::Ref>> made = Run(
      Parse("exec { meta { args: '/bin/sh' args: '-c' args: 'echo hi > /f; echo said' cwd: '/' } "
            "mounts { dest: '/' } mounts { input: -1 dest: '/c' output: -1 mountType: CACHE "
            "cacheOpt { ID: '/c' } } }"),
      std::move(inputs));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(job_.sink.text, "said\n");

  std::vector<cache::Ref> again;
  again.push_back((*made)[0].Clone());
  StatusOr<std::vector<cache::Ref>> failed = Run(
      Parse("exec { meta { args: '/bin/sh' args: '-c' args: 'while read l; do echo $l; done </f; "
            "exit 3' cwd: '/' } mounts { dest: '/' } }"),
      std::move(again));
  EXPECT_EQ(job_.sink.text, "hi\n");
  EXPECT_EQ(failed.status().message(),
            "process \"/bin/sh -c while read l; do echo $l; done </f; exit 3\" did not complete "
            "successfully: exit code: 3");
  EXPECT_EQ(exec::ExitCodeOf(failed.status()), 3u);
}

}  // namespace
}  // namespace kiln::worker
