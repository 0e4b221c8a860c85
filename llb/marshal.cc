// MarshalDeterministic: protobuf bytes as the reference writes them.
//
// Map entries go sorted by key. One thing is not protobuf's own order: Go writes
// the members of a oneof after all other fields, and digests depend on it.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

namespace kiln::llb {
namespace {

using google::protobuf::MessageLite;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

void WriteField(int number, const MessageLite& message, CodedOutputStream* out) {
  WireFormatLite::WriteTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED, out);
  out->WriteVarint64(message.ByteSizeLong());
  message.SerializeToCodedStream(out);
}

void WriteOneof(const pb::Op& op, CodedOutputStream* out) {
  switch (op.op_case()) {
    case pb::Op::kExec:
      return WriteField(pb::Op::kExecFieldNumber, op.exec(), out);
    case pb::Op::kSource:
      return WriteField(pb::Op::kSourceFieldNumber, op.source(), out);
    case pb::Op::kFile:
      return WriteField(pb::Op::kFileFieldNumber, op.file(), out);
    case pb::Op::kBuild:
      return WriteField(pb::Op::kBuildFieldNumber, op.build(), out);
    case pb::Op::kMerge:
      return WriteField(pb::Op::kMergeFieldNumber, op.merge(), out);
    case pb::Op::kDiff:
      return WriteField(pb::Op::kDiffFieldNumber, op.diff(), out);
    case pb::Op::kPassthrough:
      return WriteField(pb::Op::kPassthroughFieldNumber, op.passthrough(), out);
    case pb::Op::OP_NOT_SET:
      return;
  }
}

}  // namespace

std::string MarshalDeterministic(const pb::Op& op) {
  std::string bytes;
  StringOutputStream stream(&bytes);
  CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  for (const pb::Input& input : op.inputs()) WriteField(pb::Op::kInputsFieldNumber, input, &out);
  if (op.has_platform()) WriteField(pb::Op::kPlatformFieldNumber, op.platform(), &out);
  if (op.has_constraints()) WriteField(pb::Op::kConstraintsFieldNumber, op.constraints(), &out);
  WriteOneof(op, &out);
  out.Trim();
  return bytes;
}

std::string MarshalDeterministic(const pb::Definition& definition) {
  std::string bytes;
  bytes.reserve(definition.ByteSizeLong());
  StringOutputStream stream(&bytes);
  CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  definition.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

}  // namespace kiln::llb
