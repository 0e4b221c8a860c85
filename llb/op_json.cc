// By reflection, so that a new field needs no line here.
#include "llb/op_json.h"

#include <google/protobuf/message.h>

#include <map>

#include "base/go_json.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"

namespace kiln::llb {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Scalar(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(many ? reflection.GetRepeatedInt32(message, &field, index)
                                 : reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(many ? reflection.GetRepeatedInt64(message, &field, index)
                                 : reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(many ? reflection.GetRepeatedUInt32(message, &field, index)
                                 : reflection.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(many ? reflection.GetRepeatedUInt64(message, &field, index)
                                 : reflection.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return std::to_string(many ? reflection.GetRepeatedEnumValue(message, &field, index)
                                 : reflection.GetEnumValue(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return (many ? reflection.GetRepeatedBool(message, &field, index)
                   : reflection.GetBool(message, &field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return OpJson(many ? reflection.GetRepeatedMessage(message, &field, index)
                         : reflection.GetMessage(message, &field));
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = many ? reflection.GetRepeatedString(message, &field, index)
                              : reflection.GetString(message, &field);
      bool bytes = field.type() == FieldDescriptor::TYPE_BYTES;
      return GoJsonString(bytes ? Base64Encode(text) : text);
    }
    default: return "0";  // no floats in ops.proto
  }
}

std::string MapJson(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  std::map<std::string, std::string> sorted;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const FieldDescriptor* key = entry.GetDescriptor()->field(0);
    const FieldDescriptor* value = entry.GetDescriptor()->field(1);
    std::string name = Scalar(entry, *key, -1);
    if (key->cpp_type() != FieldDescriptor::CPPTYPE_STRING) name = GoJsonString(name);
    sorted[name] = Scalar(entry, *value, -1);
  }
  std::string out = "{";
  for (const auto& [name, value] : sorted) {
    if (out.size() > 1) out += ',';
    out += StrCat(name, ":", value);
  }
  return out + "}";
}

// Empty if the field is left out.
std::string FieldJson(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (field.is_map()) {
    return reflection.FieldSize(message, &field) == 0 ? "" : MapJson(message, field);
  }
  if (!field.is_repeated()) {
    return reflection.HasField(message, &field) ? Scalar(message, field, -1) : "";
  }
  std::string out;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    out += StrCat(i == 0 ? "[" : ",", Scalar(message, field, i));
  }
  return out.empty() ? out : out + "]";
}

void AddField(const Message& message, std::string_view name, GoJsonObject* out) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(std::string(name));
  std::string json = field == nullptr ? "" : FieldJson(message, *field);
  if (!json.empty()) out->Raw(name, json);
}

std::string JsonOfOp(const pb::Op& op) {
  GoJsonObject kind, out;
  for (std::string_view name :
       {"exec", "source", "file", "build", "merge", "diff", "passthrough"}) {
    AddField(op, name, &kind);
  }
  AddField(op, "inputs", &out);
  out.Raw("Op", kind.Finish());
  AddField(op, "platform", &out);
  AddField(op, "constraints", &out);
  return out.Finish();
}

std::string JsonOfAction(const pb::FileAction& action) {
  GoJsonObject kind, out;
  // Symlinks are missing there, so they are here.
  for (std::string_view name : {"copy", "mkfile", "mkdir", "rm"}) AddField(action, name, &kind);
  out.Int("input", action.input());
  out.Int("secondaryInput", action.secondaryinput());
  out.Int("output", action.output());
  out.Raw("Action", kind.Finish());
  return out.Finish();
}

std::string JsonOfUser(const pb::UserOpt& user) {
  GoJsonObject kind, out;
  if (user.has_byname()) kind.Raw("byName", OpJson(user.byname()));
  if (user.user_case() == pb::UserOpt::kByID) kind.OmitInt("byId", user.byid());
  out.Raw("User", kind.Finish());
  return out.Finish();
}

}  // namespace

std::string OpJson(const Message& message) {
  if (auto* op = dynamic_cast<const pb::Op*>(&message)) return JsonOfOp(*op);
  if (auto* action = dynamic_cast<const pb::FileAction*>(&message)) return JsonOfAction(*action);
  if (auto* user = dynamic_cast<const pb::UserOpt*>(&message)) return JsonOfUser(*user);
  GoJsonObject out;
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    std::string json = FieldJson(message, *type->field(i));
    if (!json.empty()) out.Raw(type->field(i)->name(), json);
  }
  return out.Finish();
}

}  // namespace kiln::llb
