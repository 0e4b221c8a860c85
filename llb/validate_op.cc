// One function per kind of op; an index is checked once here so that no reader
// has to do it again.
#include "llb/validate_op.h"

#include <cstdint>

#include "base/strings.h"
#include "llb/proto/ops.pb.h"

namespace kiln::llb {
namespace {

constexpr int64_t kEmpty = -1;

bool ValidIndex(int64_t index, int64_t count) { return index >= kEmpty && index < count; }

Status ValidateExec(const pb::ExecOp& exec, int64_t inputs) {
  if (!exec.has_meta()) return InvalidArgumentError("invalid exec op with no meta");
  if (exec.meta().args_size() == 0) return InvalidArgumentError("invalid exec op with no args");
  if (exec.mounts_size() == 0) return InvalidArgumentError("invalid exec op with no mounts");
  bool has_root = false;
  for (const pb::Mount& mount : exec.mounts()) {
    if (mount.dest() == "/") has_root = true;
    if (!ValidIndex(mount.input(), inputs)) {
      return InvalidArgumentError(StrCat("missing input ", mount.input()));
    }
    if (!ValidIndex(mount.output(), exec.mounts_size())) {
      return InvalidArgumentError(StrCat("invalid mount output index ", mount.output()));
    }
  }
  if (!has_root) return InvalidArgumentError("invalid exec op with no rootfs");
  return OkStatus();
}

// `known` counts op inputs and the results of earlier actions.
Status ValidateUser(const pb::UserOpt& user, int64_t known) {
  if (user.has_byname() && !ValidIndex(user.byname().input(), known)) {
    return InvalidArgumentError(StrCat("invalid user index: ", user.byname().input()));
  }
  return OkStatus();
}

Status ValidateOwner(const pb::ChownOpt& owner, int64_t known) {
  RETURN_IF_ERROR(ValidateUser(owner.user(), known));
  return ValidateUser(owner.group(), known);
}

Status ValidateAction(const pb::FileAction& action, int64_t known) {
  if (!ValidIndex(action.input(), known) || !ValidIndex(action.secondaryinput(), known)) {
    return InvalidArgumentError(StrCat("invalid file action input index: ", action.input(), ", ",
                                       action.secondaryinput()));
  }
  switch (action.action_case()) {
    case pb::FileAction::kCopy:
      return ValidateOwner(action.copy().owner(), known);
    case pb::FileAction::kMkfile:
      return ValidateOwner(action.mkfile().owner(), known);
    case pb::FileAction::kMkdir:
      return ValidateOwner(action.mkdir().owner(), known);
    case pb::FileAction::kSymlink:
      return ValidateOwner(action.symlink().owner(), known);
    default:
      return OkStatus();
  }
}

Status ValidateFile(const pb::FileOp& file, int64_t inputs) {
  if (file.actions_size() == 0) return InvalidArgumentError("invalid file op with no actions");
  for (int i = 0; i < file.actions_size(); ++i) {
    RETURN_IF_ERROR(ValidateAction(file.actions(i), inputs + i));
  }
  return OkStatus();
}

Status ValidateMerge(const pb::MergeOp& merge, int64_t inputs) {
  for (const pb::MergeInput& input : merge.inputs()) {
    if (!ValidIndex(input.input(), inputs)) {
      return InvalidArgumentError(StrCat("invalid merge input index ", input.input()));
    }
  }
  return OkStatus();
}

Status ValidateDiff(const pb::DiffOp& diff, int64_t inputs) {
  if (!diff.has_lower() || !diff.has_upper()) {
    return InvalidArgumentError("invalid diff op with nil lower or upper input");
  }
  for (int64_t input : {diff.lower().input(), diff.upper().input()}) {
    if (!ValidIndex(input, inputs)) {
      return InvalidArgumentError(StrCat("invalid diff input index ", input));
    }
  }
  return OkStatus();
}

Status ValidateBuild(const pb::BuildOp& build, int64_t inputs) {
  for (const auto& [name, input] : build.inputs()) {
    if (!ValidIndex(input.input(), inputs)) {
      return InvalidArgumentError(StrCat("invalid build input ", Quote(name)));
    }
  }
  return OkStatus();
}

Status ValidatePassthrough(const pb::PassthroughOp& passthrough, int64_t inputs) {
  if (passthrough.id().empty()) {
    return InvalidArgumentError("invalid passthrough op with no id");
  }
  if (passthrough.outputs_size() == 0) {
    return InvalidArgumentError("invalid passthrough op with no outputs");
  }
  for (int64_t input : passthrough.outputs()) {
    if (input < 0 || input >= inputs) {
      return InvalidArgumentError(StrCat("invalid passthrough output input index ", input));
    }
  }
  return OkStatus();
}

}  // namespace

Status ValidateOp(const pb::Op& op) {
  const int64_t inputs = op.inputs_size();
  switch (op.op_case()) {
    case pb::Op::kExec:
      return ValidateExec(op.exec(), inputs);
    case pb::Op::kFile:
      return ValidateFile(op.file(), inputs);
    case pb::Op::kMerge:
      return ValidateMerge(op.merge(), inputs);
    case pb::Op::kDiff:
      return ValidateDiff(op.diff(), inputs);
    case pb::Op::kBuild:
      return ValidateBuild(op.build(), inputs);
    case pb::Op::kPassthrough:
      return ValidatePassthrough(op.passthrough(), inputs);
    default:
      return OkStatus();
  }
}

}  // namespace kiln::llb
