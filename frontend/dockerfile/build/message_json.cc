// A walk by reflection; only field types that LLB messages have.
#include "frontend/dockerfile/build/message_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <map>

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One value of a field; `index` is -1 for fields that are not repeated.
class ValueWriter {
 public:
  ValueWriter(const Message& message, MessageStyle style)
      : message_(message), reflection_(*message.GetReflection()), style_(style) {}

  // Reads through the right one of two accessors.
  template <typename One, typename Many>
  auto Get(One one, Many many, const FieldDescriptor* field, int index) const {
    return index < 0 ? (reflection_.*one)(message_, field)
                     : (reflection_.*many)(message_, field, index);
  }

  std::string Write(const FieldDescriptor* field, int index) const {
    const bool one = index < 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return Text(field, Get(&Reflection::GetString, &Reflection::GetRepeatedString, field,
                               index));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return MessageJson(one ? reflection_.GetMessage(message_, field)
                               : reflection_.GetRepeatedMessage(message_, field, index),
                           style_);
      case FieldDescriptor::CPPTYPE_BOOL:
        return Get(&Reflection::GetBool, &Reflection::GetRepeatedBool, field, index) ? "true"
                                                                                     : "false";
      case FieldDescriptor::CPPTYPE_INT32:
        return StrCat(Get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32, field, index));
      case FieldDescriptor::CPPTYPE_UINT32:
        return StrCat(Get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32, field, index));
      case FieldDescriptor::CPPTYPE_INT64:
        return Wide(StrCat(
            Get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64, field, index)));
      case FieldDescriptor::CPPTYPE_UINT64:
        return Wide(StrCat(
            Get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64, field, index)));
      case FieldDescriptor::CPPTYPE_ENUM:
        return Enum(one ? reflection_.GetEnum(message_, field)
                        : reflection_.GetRepeatedEnum(message_, field, index));
      default:
        return "null";
    }
  }

 private:
  std::string Text(const FieldDescriptor* field, const std::string& text) const {
    const bool bytes = field->type() == FieldDescriptor::TYPE_BYTES;
    return GoJsonString(bytes ? Base64Encode(text) : text);
  }
  std::string Wide(const std::string& digits) const {
    return style_ == MessageStyle::kProtoJson ? GoJsonString(digits) : digits;
  }
  std::string Enum(const google::protobuf::EnumValueDescriptor* value) const {
    return style_ == MessageStyle::kProtoJson ? GoJsonString(value->name())
                                              : StrCat(value->number());
  }

  const Message& message_;
  const Reflection& reflection_;
  MessageStyle style_;
};

std::string MapJson(const Message& message, const FieldDescriptor* field, MessageStyle style) {
  const Reflection& reflection = *message.GetReflection();
  std::map<std::string, std::string> sorted;
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, field, i);
    const auto* descriptor = entry.GetDescriptor();
    const std::string key = entry.GetReflection()->GetString(entry, descriptor->field(0));
    sorted[key] = ValueWriter(entry, style).Write(descriptor->field(1), -1);
  }
  GoJsonObject object;
  for (const auto& [key, value] : sorted) object.Raw(key, value);
  return object.Finish();
}

}  // namespace

std::string MessageJson(const Message& message, MessageStyle style) {
  const Reflection& reflection = *message.GetReflection();
  const ValueWriter values(message, style);
  GoJsonObject object;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string& name =
        style == MessageStyle::kProtoJson ? field->json_name() : field->name();
    if (!field->is_repeated()) {
      if (reflection.HasField(message, field)) object.Raw(name, values.Write(field, -1));
      continue;
    }
    const int size = reflection.FieldSize(message, field);
    if (size == 0) continue;
    if (field->is_map()) {
      object.Raw(name, MapJson(message, field, style));
      continue;
    }
    std::string array = "[";
    for (int n = 0; n < size; ++n) {
      if (n > 0) array += ',';
      array += values.Write(field, n);
    }
    object.Raw(name, array + "]");
  }
  return object.Finish();
}

}  // namespace kiln::dockerfile
