#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"

namespace kiln::worker {
namespace {

Status Invalid(std::string text) { return InvalidArgumentError(std::move(text)); }

Status ValidateExec(const pb::ExecOp& exec) {
  if (!exec.has_meta()) return Invalid("invalid exec op with no meta");
  if (exec.meta().args_size() == 0) return Invalid("invalid exec op with no args");
  if (exec.mounts_size() == 0) return Invalid("invalid exec op with no mounts");
  for (const pb::Mount& mount : exec.mounts()) {
    if (mount.dest() == "/") return OkStatus();
  }
  return Invalid("invalid exec op with no rootfs");
}

Status ValidatePassthrough(const pb::PassthroughOp& op, int inputs) {
  if (op.id().empty()) return Invalid("invalid passthrough op with no id");
  if (op.outputs_size() == 0) return Invalid("invalid passthrough op with no outputs");
  for (int64_t input : op.outputs()) {
    if (input < 0 || (inputs > 0 && input >= inputs)) {
      return Invalid(StrCat("invalid passthrough output input index ", input));
    }
  }
  return OkStatus();
}

}  // namespace

Status ValidateOp(const pb::Op& op) {
  switch (op.op_case()) {
    case pb::Op::kExec:
      return ValidateExec(op.exec());
    case pb::Op::kFile:
      return op.file().actions_size() > 0 ? OkStatus()
                                          : Invalid("invalid file op with no actions");
    case pb::Op::kDiff:
      return op.diff().has_lower() && op.diff().has_upper()
                 ? OkStatus()
                 : Invalid("invalid diff op with nil lower or upper input");
    case pb::Op::kPassthrough:
      return ValidatePassthrough(op.passthrough(), op.inputs_size());
    default:
      return OkStatus();
  }
}

}  // namespace kiln::worker
