// The outline of a target: arguments, secrets and sockets that it and the stages
// below it take.
#include <algorithm>

#include "frontend/dockerfile/convert/converter.h"

namespace kiln::dockerfile {
namespace {

// Arguments that others were made from count as used, too.
void MarkUsed(const OutlineCapture& capture, const std::set<std::string>& names,
              std::set<std::string>* used) {
  for (const std::string& name : names) {
    if (!used->insert(name).second) continue;
    auto found = capture.all_args.find(name);
    if (found != capture.all_args.end()) MarkUsed(capture, found->second.deps, used);
  }
}

class OutlineMaker {
 public:
  Outline Make(const StageState& target) {
    Visit(target);
    outline_.name = target.stage.name;
    outline_.description = target.stage.doc_comment;
    Sort(&outline_.args);
    Sort(&outline_.secrets);
    Sort(&outline_.ssh);
    return std::move(outline_);
  }

 private:
  void Visit(const StageState& root) {
    std::vector<const StageState*> pending = {&root};
    while (!pending.empty()) {
      const StageState* stage = pending.back();
      pending.pop_back();
      if (!stages_.insert(stage).second) continue;
      AddArgs(stage->outline);
      AddUses(stage->outline.secrets, &secrets_, &outline_.secrets);
      AddUses(stage->outline.ssh, &ssh_, &outline_.ssh);
      for (const auto& [dep, location] : stage->deps) pending.push_back(dep);
      if (stage->base != nullptr) pending.push_back(stage->base);
    }
  }
  void AddArgs(const OutlineCapture& capture) {
    std::set<std::string> used;
    MarkUsed(capture, capture.used_args, &used);
    for (const std::string& name : used) {
      auto found = capture.all_args.find(name);
      if (found == capture.all_args.end() || !args_.insert(name).second) continue;
      const ArgUse& use = found->second;
      outline_.args.push_back(
          {use.definition.key, use.definition.doc_comment, use.value, use.location});
    }
  }
  static void AddUses(const std::map<std::string, RequiredUse>& uses, std::set<std::string>* seen,
                      std::vector<OutlineUse>* out) {
    for (const auto& [name, use] : uses) {
      if (seen->insert(name).second) out->push_back({name, use.required, use.location});
    }
  }
  template <typename T>
  static void Sort(std::vector<T>* entries) {
    auto line = [](const T& entry) {
      return entry.location.empty() ? 0 : entry.location[0].start.line;
    };
    std::stable_sort(entries->begin(), entries->end(),
                     [&](const T& a, const T& b) { return line(a) < line(b); });
  }

  Outline outline_;
  std::set<const StageState*> stages_;
  std::set<std::string> args_, secrets_, ssh_;
};

}  // namespace

StatusOr<Outline> ConvertToOutline(const ConvertOptions& options) {
  Converter converter(options);
  ASSIGN_OR_RETURN(const StageState* target, converter.Run());
  return OutlineMaker().Make(*target);
}

}  // namespace kiln::dockerfile
