// See message_json.h.
#include "cmd/buildctl/message_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cctype>
#include <map>

#include "base/strings.h"

namespace kiln::buildctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Json = nlohmann::ordered_json;

Json Bytes(const FieldDescriptor& field, const std::string& text) {
  return field.type() == FieldDescriptor::TYPE_BYTES ? Json(Base64Encode(text)) : Json(text);
}

Json Single(const Message& m, const Reflection& r, const FieldDescriptor& f) {
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return r.GetInt32(m, &f);
    case FieldDescriptor::CPPTYPE_INT64: return r.GetInt64(m, &f);
    case FieldDescriptor::CPPTYPE_UINT32: return r.GetUInt32(m, &f);
    case FieldDescriptor::CPPTYPE_UINT64: return r.GetUInt64(m, &f);
    case FieldDescriptor::CPPTYPE_DOUBLE: return r.GetDouble(m, &f);
    case FieldDescriptor::CPPTYPE_FLOAT: return r.GetFloat(m, &f);
    case FieldDescriptor::CPPTYPE_BOOL: return r.GetBool(m, &f);
    case FieldDescriptor::CPPTYPE_ENUM: return r.GetEnumValue(m, &f);
    case FieldDescriptor::CPPTYPE_STRING: return Bytes(f, r.GetString(m, &f));
    case FieldDescriptor::CPPTYPE_MESSAGE: return MessageJson(r.GetMessage(m, &f));
  }
  return {};
}

Json Element(const Message& m, const Reflection& r, const FieldDescriptor& f, int i) {
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return r.GetRepeatedInt32(m, &f, i);
    case FieldDescriptor::CPPTYPE_INT64: return r.GetRepeatedInt64(m, &f, i);
    case FieldDescriptor::CPPTYPE_UINT32: return r.GetRepeatedUInt32(m, &f, i);
    case FieldDescriptor::CPPTYPE_UINT64: return r.GetRepeatedUInt64(m, &f, i);
    case FieldDescriptor::CPPTYPE_DOUBLE: return r.GetRepeatedDouble(m, &f, i);
    case FieldDescriptor::CPPTYPE_FLOAT: return r.GetRepeatedFloat(m, &f, i);
    case FieldDescriptor::CPPTYPE_BOOL: return r.GetRepeatedBool(m, &f, i);
    case FieldDescriptor::CPPTYPE_ENUM: return r.GetRepeatedEnumValue(m, &f, i);
    case FieldDescriptor::CPPTYPE_STRING: return Bytes(f, r.GetRepeatedString(m, &f, i));
    case FieldDescriptor::CPPTYPE_MESSAGE: return MessageJson(r.GetRepeatedMessage(m, &f, i));
  }
  return {};
}

Json MapJson(const Message& m, const Reflection& r, const FieldDescriptor& f) {
  std::map<std::string, Json> sorted;
  for (int i = 0; i < r.FieldSize(m, &f); ++i) {
    const Message& entry = r.GetRepeatedMessage(m, &f, i);
    const auto* type = entry.GetDescriptor();
    Json key = Single(entry, *entry.GetReflection(), *type->map_key());
    sorted[key.is_string() ? key.get<std::string>() : key.dump()] =
        Single(entry, *entry.GetReflection(), *type->map_value());
  }
  Json out = Json::object();
  for (auto& [key, value] : sorted) out[key] = std::move(value);
  return out;
}

std::string Capital(std::string name) {
  name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  return name;
}

// The reference prints this struct by hand: numbers of inputs are always there.
bool AlwaysShown(const FieldDescriptor& field) {
  return field.containing_type()->full_name() == "pb.FileAction" && !field.is_repeated() &&
         field.cpp_type() == FieldDescriptor::CPPTYPE_INT64;
}

}  // namespace

Json MessageJson(const Message& message) {
  const auto* type = message.GetDescriptor();
  const Reflection& r = *message.GetReflection();
  Json out = Json::object();
  const bool is_op = type->full_name() == "pb.Op";
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor& f = *type->field(i);
    if (f.is_map()) {
      if (r.FieldSize(message, &f) > 0) out[f.name()] = MapJson(message, r, f);
    } else if (f.is_repeated()) {
      for (int j = 0; j < r.FieldSize(message, &f); ++j) {
        out[f.name()].push_back(Element(message, r, f, j));
      }
    } else if (r.HasField(message, &f) || AlwaysShown(f)) {
      if (const auto* oneof = f.real_containing_oneof()) {
        out[Capital(oneof->name())][f.name()] = Single(message, r, f);
      } else {
        out[f.name()] = Single(message, r, f);
      }
    }
    // Between the inputs and the platform, empty for the last op of a definition.
    if (is_op && f.name() == "inputs") out["Op"] = Json::object();
  }
  return out;
}

}  // namespace kiln::buildctl
