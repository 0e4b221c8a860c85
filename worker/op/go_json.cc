#include "worker/op/go_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/strings.h"
#include "llb/proto/ops.pb.h"

namespace kiln::worker {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void AppendMessage(const Message& message, std::string* out);

void AppendEscaped(unsigned char byte, std::string* out) {
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\u%04x", byte);
  *out += buffer;
}

// U+2028 and U+2029, which JavaScript takes for line ends.
bool IsLineSeparator(std::string_view text, size_t at) {
  return at + 2 < text.size() && text[at] == '\xe2' && text[at + 1] == '\x80' &&
         (text[at + 2] == '\xa8' || text[at + 2] == '\xa9');
}

void AppendString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (IsLineSeparator(text, i)) {
      *out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      *out += "\\n";
    } else if (c == '\r') {
      *out += "\\r";
    } else if (c == '\t') {
      *out += "\\t";
    } else if (c == '\b') {
      *out += "\\b";
    } else if (c == '\f') {
      *out += "\\f";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&') {
      AppendEscaped(static_cast<unsigned char>(c), out);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

// One value: `index` of a repeated field, or -1 of a single one.
class Value {
 public:
  Value(const Message& message, const FieldDescriptor* field, int index)
      : message_(message), field_(field), index_(index), reflection_(*message.GetReflection()) {}

  void Append(std::string* out) const {
    switch (field_->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        AppendText(out);
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        AppendMessage(Get(&Reflection::GetRepeatedMessage), out);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        *out += Scalar(&Reflection::GetBool, &Reflection::GetRepeatedBool) ? "true" : "false";
        break;
      default:
        *out += Number();
    }
  }

 private:
  const Message& Get(const Message& (Reflection::*repeated)(const Message&, const FieldDescriptor*,
                                                            int) const) const {
    return index_ < 0 ? reflection_.GetMessage(message_, field_)
                      : (reflection_.*repeated)(message_, field_, index_);
  }
  template <typename T>
  T Scalar(T (Reflection::*single)(const Message&, const FieldDescriptor*) const,
           T (Reflection::*repeated)(const Message&, const FieldDescriptor*, int) const) const {
    return index_ < 0 ? (reflection_.*single)(message_, field_)
                      : (reflection_.*repeated)(message_, field_, index_);
  }
  void AppendText(std::string* out) const {
    std::string text = Scalar(&Reflection::GetString, &Reflection::GetRepeatedString);
    AppendString(field_->type() == FieldDescriptor::TYPE_BYTES ? Base64Encode(text) : text, out);
  }
  std::string Number() const {
    switch (field_->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return StrCat(Scalar(&Reflection::GetInt32, &Reflection::GetRepeatedInt32));
      case FieldDescriptor::CPPTYPE_INT64:
        return StrCat(Scalar(&Reflection::GetInt64, &Reflection::GetRepeatedInt64));
      case FieldDescriptor::CPPTYPE_UINT32:
        return StrCat(Scalar(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32));
      case FieldDescriptor::CPPTYPE_UINT64:
        return StrCat(Scalar(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64));
      default:
        return StrCat(Scalar(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue));
    }
  }

  const Message& message_;
  const FieldDescriptor* field_;
  int index_;
  const Reflection& reflection_;
};

void AppendMap(const Message& message, const FieldDescriptor* field, std::string* out) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<std::pair<std::string, std::string>> entries;
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, field, i);
    const auto* descriptor = entry.GetDescriptor();
    std::string key =
        entry.GetReflection()->GetString(entry, descriptor->FindFieldByNumber(1));
    std::string value;
    Value(entry, descriptor->FindFieldByNumber(2), -1).Append(&value);
    entries.emplace_back(std::move(key), std::move(value));
  }
  std::sort(entries.begin(), entries.end());
  out->push_back('{');
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendString(entries[i].first, out);
    *out += ":" + entries[i].second;
  }
  out->push_back('}');
}

void AppendField(const Message& message, const FieldDescriptor* field, std::string* out) {
  if (field->is_map()) {
    AppendMap(message, field, out);
  } else if (field->is_repeated()) {
    out->push_back('[');
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      if (i > 0) out->push_back(',');
      Value(message, field, i).Append(out);
    }
    out->push_back(']');
  } else {
    Value(message, field, -1).Append(out);
  }
}

bool IsSet(const Message& message, const FieldDescriptor* field) {
  const Reflection& reflection = *message.GetReflection();
  return field->is_repeated() ? reflection.FieldSize(message, field) > 0
                              : reflection.HasField(message, field);
}

// The reference writes this oneof by hand, in the form of an older generator.
void AppendUserOpt(const pb::UserOpt& user, std::string* out) {
  *out += "{\"User\":{";
  if (user.has_byname()) {
    *out += "\"byName\":";
    AppendMessage(user.byname(), out);
  } else if (user.byid() != 0) {
    *out += StrCat("\"byId\":", user.byid());
  }
  *out += "}}";
}

void AppendMessage(const Message& message, std::string* out) {
  if (message.GetDescriptor() == pb::UserOpt::descriptor()) {
    AppendUserOpt(static_cast<const pb::UserOpt&>(message), out);
    return;
  }
  out->push_back('{');
  bool first = true;
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (!IsSet(message, field)) continue;
    if (!first) out->push_back(',');
    first = false;
    AppendString(field->name(), out);
    out->push_back(':');
    AppendField(message, field, out);
  }
  out->push_back('}');
}

}  // namespace

std::string GoJson(const Message& message) {
  std::string out;
  AppendMessage(message, &out);
  return out;
}

std::string GoJsonString(std::string_view text) {
  std::string out;
  AppendString(text, &out);
  return out;
}

}  // namespace kiln::worker
