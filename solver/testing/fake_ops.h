// Fakes for tests of the scheduler: ops by recipe, refs that are only an id, and
// a sink that remembers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cache/ref.h"
#include "llb/graph.h"
#include "solver/op.h"
#include "solver/progress.h"

namespace kiln::solver::testing {

// A Ref with that id and nothing behind it.
cache::Ref FakeRef(const std::string& id);

// How a fake vertex behaves.
struct Recipe {
  std::string name;
  std::vector<llb::Edge> inputs = {};
  std::string key = {};                  // what its cache map digests; "" means the name
  std::set<size_t> content_inputs = {};  // inputs with a content key
  std::string result = {};               // id of its result; "" derives one from the inputs
  bool ignore_cache = false;
  bool quick_map = false;
  size_t extra_maps = 0;                 // cache maps before the last
  size_t outputs = 1;
  Status map_error = {};
  Status exec_error = {};
  std::function<Status(JobContext&)> on_map = {};
  std::function<Status(JobContext&)> on_exec = {};  // before the result; may block
};

// Vertices and their ops. Results "exist" until forgotten. Thread-safe.
class FakeOps : public OpResolver {
 public:
  std::shared_ptr<const llb::Vertex> Add(Recipe recipe);
  StatusOr<std::unique_ptr<Op>> Resolve(const std::shared_ptr<const llb::Vertex>& vertex) override;
  StatusOr<cache::Ref> LoadResult(std::string_view record_id) override;

  int runs(const std::string& name);      // Exec calls
  int maps(const std::string& name);      // GetCacheMap calls
  int contents(const std::string& name);  // content keys computed for its inputs
  int loads();
  int total_runs();
  std::map<std::string, int> runs_by_key();
  void Forget(const std::string& result);
  // What an input's content digests to; by default the id of its result.
  void SetContent(const std::string& result, const std::string& content);
  void SetContentFunction(std::function<std::string(const std::string& result)> content);
  std::map<std::string, int> made();  // how often each result was made

 private:
  friend class FakeOp;
  std::string ContentOf(const std::string& result) const;
  std::mutex mutex_;
  std::map<Digest, Recipe> recipes_;
  std::map<std::string, int> runs_, maps_, contents_, runs_by_key_, made_;
  std::function<std::string(const std::string&)> content_;
  std::map<std::string, std::string> content_of_;
  std::set<std::string> forgotten_;
  int loads_ = 0;
};

// Thread-safe.
class RecordingSink : public ProgressSink {
 public:
  void Send(ProgressEvent event) override;
  std::vector<ProgressEvent> events();
  // The last state of each vertex, by name.
  std::map<std::string, VertexEvent> vertices();
  std::string log(const Digest& vertex);

 private:
  std::mutex mutex_;
  std::vector<ProgressEvent> events_;
};

// A door that jobs wait at. Thread-safe.
class Gate {
 public:
  void Open();
  // Waits for Open; CANCELLED if `stop` fires first.
  Status Wait(std::stop_token stop);
  void AwaitVisitor();  // until somebody waits or waited

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool open_ = false;
  bool visited_ = false;
};

}  // namespace kiln::solver::testing
