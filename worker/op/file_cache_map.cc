#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"
#include "worker/op/go_json.h"
#include "worker/op/selectors.h"

namespace kiln::worker {
namespace {

// Collects selectors per input while going through the actions.
class FileKeys {
 public:
  explicit FileKeys(size_t inputs) : inputs_(static_cast<int64_t>(inputs)) {}

  // JSON of one action, as it goes into the key.
  std::string Action(const pb::FileAction& action) {
    if (action.input() != -1) whole_.insert(action.input());
    switch (action.action_case()) {
      case pb::FileAction::kCopy:
        return Copy(action);
      case pb::FileAction::kMkfile:
        Owner(action.mkfile().has_owner(), action.mkfile().owner());
        return GoJson(action.mkfile());
      case pb::FileAction::kMkdir:
        Owner(action.mkdir().has_owner(), action.mkdir().owner());
        return GoJson(action.mkdir());
      case pb::FileAction::kSymlink:
        return GoJson(action.symlink());
      case pb::FileAction::kRm:
        return GoJson(action.rm());
      default:
        return "";
    }
  }

  Status FillDeps(solver::CacheMap* map, const std::string& worker_id) const {
    for (const auto& [index, selectors] : selectors_) {
      if (index < 0 || index >= inputs_) {
        return InvalidArgumentError(StrCat("invalid input index ", index, " in file op with ",
                                           inputs_, " inputs"));
      }
      // An input that is written on counts as a whole.
      if (whole_.contains(index)) continue;
      std::vector<std::string> paths;
      for (const Selector& selector : selectors) paths.push_back(selector.path);
      std::sort(paths.rbegin(), paths.rend());
      solver::CacheMap::Dep& dep = map->deps[static_cast<size_t>(index)];
      dep.selector = Digest::Of(JoinZero(paths));
      dep.content_digest = ContentDigestOf(DedupeSelectors(selectors), worker_id);
    }
    return OkStatus();
  }

 private:
  std::string Copy(const pb::FileAction& action) {
    pb::FileActionCopy copy = action.copy();
    Owner(copy.has_owner(), copy.owner());
    const int64_t from = action.secondaryinput();
    if (from != -1 && from < inputs_) {
      Selector selector{.path = copy.src(),
                        .wildcard = copy.allowwildcard() && HasWildcards(copy.src()),
                        .follow_links = copy.followsymlink(),
                        .include = {copy.include_patterns().begin(), copy.include_patterns().end()},
                        .exclude = {copy.exclude_patterns().begin(), copy.exclude_patterns().end()},
                        .required = {copy.required_paths().begin(), copy.required_paths().end()}};
      selectors_[from].push_back(std::move(selector));
      copy.set_src(BaseName(copy.src()));
    }
    return GoJson(copy);
  }

  void Owner(bool present, const pb::ChownOpt& owner) {
    if (!present) return;
    if (owner.user().has_byname()) {
      if (owner.user().byname().input() < 0) return;
      selectors_[owner.user().byname().input()].push_back(
          {.path = "/etc/passwd", .follow_links = true});
    }
    if (owner.group().has_byname() && owner.group().byname().input() >= 0) {
      selectors_[owner.group().byname().input()].push_back(
          {.path = "/etc/group", .follow_links = true});
    }
  }

  int64_t inputs_;
  std::map<int64_t, std::vector<Selector>> selectors_;
  std::set<int64_t> whole_;
};

// The usual chain of actions has no indexes in its key: so it always was.
bool IsPlainChain(const pb::FileOp& op) {
  const int count = op.actions_size();
  for (int i = 0; i < count; ++i) {
    const pb::FileAction& action = op.actions(i);
    const int64_t input = i == 0 ? 0 : count + (i - 1);
    const int64_t output = i == count - 1 ? 0 : -1;
    if (action.input() != input || action.output() != output ||
        (action.secondaryinput() != -1 && action.secondaryinput() != 1)) {
      return false;
    }
  }
  return count > 0;
}

std::string IndexesJson(const pb::FileOp& op) {
  std::vector<std::string> rows;
  for (const pb::FileAction& action : op.actions()) {
    rows.push_back(StrCat("[", action.input(), ",", action.secondaryinput(), ",",
                          action.output(), "]"));
  }
  return rows.empty() ? "" : StrCat(",\"indexes\":[", StrJoin(rows, ","), "]");
}

}  // namespace

StatusOr<solver::CacheMap> FileCacheMap(const pb::FileOp& op, size_t inputs,
                                        const std::string& worker_id) {
  FileKeys keys(inputs);
  std::vector<std::string> actions;
  for (const pb::FileAction& action : op.actions()) {
    std::string json = keys.Action(action);
    actions.push_back(json.empty() ? "null" : GoJsonString(Base64Encode(json)));
  }
  solver::CacheMap map;
  map.digest = Digest::Of(StrCat("{\"Type\":\"buildkit.file.v0\",\"Actions\":[",
                                 StrJoin(actions, ","), "]",
                                 IsPlainChain(op) ? "" : IndexesJson(op), "}"));
  map.deps.resize(inputs);
  RETURN_IF_ERROR(keys.FillDeps(&map, worker_id));
  for (solver::CacheMap::Dep& dep : map.deps) dep.preprocess = ExtractInput;
  return map;
}

}  // namespace kiln::worker
