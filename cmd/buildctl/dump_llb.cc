// buildctl debug dump-llb.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/digest.h"
#include "base/file.h"
#include "cmd/buildctl/commands.h"
#include "cmd/buildctl/message_json.h"
#include "cmd/buildctl/stdin_llb.h"
#include "llb/proto/ops.pb.h"
#include "llb/wire_fault.h"

namespace kiln::buildctl {
namespace {

struct NamedOp {
  std::string digest;
  pb::Op op;
  pb::OpMetadata metadata;
};

std::string ActionName(const pb::FileAction& action) {
  if (action.has_copy()) {
    return StrCat("copy{src=", action.copy().src(), ", dest=", action.copy().dest(), "}");
  }
  if (action.has_mkfile()) return StrCat("mkfile{path=", action.mkfile().path(), "}");
  if (action.has_mkdir()) return StrCat("mkdir{path=", action.mkdir().path(), "}");
  if (action.has_rm()) return StrCat("rm{path=", action.rm().path(), "}");
  if (action.has_symlink()) {
    return StrCat("symlink{oldpath=", action.symlink().oldpath(),
                  ", newpath=", action.symlink().newpath(), "}");
  }
  return "";
}

std::pair<std::string, const char*> LabelAndShape(const NamedOp& named) {
  const pb::Op& op = named.op;
  if (op.has_source()) return {op.source().identifier(), "ellipse"};
  if (op.has_exec()) return {StrJoin(op.exec().meta().args(), " "), "box"};
  if (op.has_build()) return {"build", "box3d"};
  if (op.has_merge()) return {"merge", "invtriangle"};
  if (op.has_diff()) return {"diff", "doublecircle"};
  if (op.has_file()) {
    std::vector<std::string> names;
    for (const pb::FileAction& action : op.file().actions()) names.push_back(ActionName(action));
    return {StrJoin(names, ","), "note"};
  }
  return {named.digest, "plaintext"};
}

void PrintDot(const std::vector<NamedOp>& ops) {
  std::string out = "digraph {\n";
  for (const NamedOp& named : ops) {
    auto [label, shape] = LabelAndShape(named);
    out += StrCat("  ", Quote(named.digest), " [label=", Quote(label), " shape=", Quote(shape),
                  "];\n");
  }
  for (const NamedOp& named : ops) {
    for (int i = 0; i < named.op.inputs_size(); ++i) {
      std::string label;
      for (const pb::Mount& mount : named.op.exec().mounts()) {
        if (mount.input() == i && mount.dest() != "/") label = mount.dest();
      }
      out += StrCat("  ", Quote(named.op.inputs(i).digest()), " -> ", Quote(named.digest),
                    " [label=", Quote(label), "];\n");
    }
  }
  std::fputs((out + "}\n").c_str(), stdout);
}

StatusOr<std::vector<NamedOp>> Load(const std::string& bytes) {
  pb::Definition definition;
  if (!definition.ParseFromString(bytes)) {
    Status fault = llb::CheckWire(bytes);
    return fault.ok() ? UnknownError("unexpected EOF") : fault;
  }
  std::vector<NamedOp> ops;
  for (const std::string& op_bytes : definition.def()) {
    NamedOp& named = ops.emplace_back();
    if (!named.op.ParseFromString(op_bytes)) {
      Status fault = llb::CheckWire(op_bytes);
      return Annotate(fault.ok() ? UnknownError("unexpected EOF") : fault, "failed to parse op");
    }
    named.digest = Digest::Of(op_bytes).text();
    auto metadata = definition.metadata().find(named.digest);
    if (metadata != definition.metadata().end()) named.metadata = metadata->second;
  }
  return ops;
}

Status RunDumpLlb(const Invocation& call) {
  std::string file = call.args().empty() ? "" : call.args().front();
  UniqueFd opened;
  if (!file.empty() && file != "-") {
    ASSIGN_OR_RETURN(opened, OpenFile(file, O_RDONLY));
  }
  ASSIGN_OR_RETURN(std::string bytes, ReadToEnd(opened.valid() ? opened.get() : STDIN_FILENO));
  ASSIGN_OR_RETURN(std::vector<NamedOp> ops, Load(bytes));
  if (call.Bool("dot")) {
    PrintDot(ops);
    return OkStatus();
  }
  for (const NamedOp& named : ops) {
    nlohmann::ordered_json line = {{"Op", MessageJson(named.op)},
                                   {"Digest", named.digest},
                                   {"OpMetadata", MessageJson(named.metadata)}};
    std::printf("%s\n", line.dump().c_str());
  }
  return OkStatus();
}

}  // namespace

Command DumpLlbCommand() {
  Command command{.name = "dump-llb",
                  .usage = "print LLB from a file or standard input; needs no daemon"};
  command.flags = {{"dot", Kind::kBool, "print a graph for dot"}};
  command.run = RunDumpLlb;
  return command;
}

}  // namespace kiln::buildctl
