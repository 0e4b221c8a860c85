// Names of vertices, in the reference's words: clients show them as they are.
#include "llb/vertex_name.h"

#include "base/strings.h"
#include "llb/proto/ops.pb.h"

namespace kiln::llb {
namespace {

// A merge names its inputs, so nested merges would double the text per level.
constexpr size_t kMaxDerivedName = 64 << 10;

std::string ActionName(const pb::FileAction& action) {
  switch (action.action_case()) {
    case pb::FileAction::kMkdir:
      return StrCat("mkdir ", action.mkdir().path());
    case pb::FileAction::kMkfile:
      return StrCat("mkfile ", action.mkfile().path());
    case pb::FileAction::kSymlink:
      return StrCat("symlink ", action.symlink().newpath(), " -> ", action.symlink().oldpath());
    case pb::FileAction::kRm:
      return StrCat("rm ", action.rm().path());
    case pb::FileAction::kCopy:
      return StrCat("copy ", action.copy().src(), " ", action.copy().dest());
    default:
      return "";
  }
}

std::string FileName(const pb::FileOp& file) {
  std::vector<std::string> names;
  for (const pb::FileAction& action : file.actions()) {
    if (action.action_case() != pb::FileAction::ACTION_NOT_SET) {
      names.push_back(ActionName(action));
    }
  }
  return StrJoin(names, ", ");
}

std::string MergeName(const Vertex& vertex) {
  std::vector<std::string_view> names;
  for (const Edge& input : vertex.inputs) names.push_back(input.vertex->name);
  return StrCat("merge (", StrJoin(names, ", "), ")");
}

std::string DiffSide(const Vertex& vertex, int64_t input) {
  if (input < 0) return "scratch";
  return StrCat("(", vertex.inputs[static_cast<size_t>(input)].vertex->name, ")");
}

std::string DerivedName(const Vertex& vertex) {
  const pb::Op& op = *vertex.op;
  switch (op.op_case()) {
    case pb::Op::kSource:
      return op.source().identifier();
    case pb::Op::kExec:
      return StrJoin(op.exec().meta().args(), " ");
    case pb::Op::kFile:
      return FileName(op.file());
    case pb::Op::kBuild:
      return "build";
    case pb::Op::kMerge:
      return MergeName(vertex);
    case pb::Op::kDiff:
      return StrCat("diff ", DiffSide(vertex, op.diff().lower().input()), " -> ",
                    DiffSide(vertex, op.diff().upper().input()));
    case pb::Op::kPassthrough:
      return StrCat("passthrough ", op.passthrough().id());
    default:
      return "unknown";
  }
}

}  // namespace

std::string VertexName(const Vertex& vertex) {
  const auto& description = vertex.metadata->description();
  auto custom = description.find("llb.customname");
  if (custom != description.end()) return custom->second;
  std::string name = DerivedName(vertex);
  if (name.size() > kMaxDerivedName &&
      (vertex.op->has_merge() || vertex.op->has_diff())) {
    name.resize(kMaxDerivedName);
  }
  return name;
}

}  // namespace kiln::llb
