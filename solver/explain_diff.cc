#include "solver/explain_diff.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "solver/proto/recipe.pb.h"

namespace kiln::solver {
namespace {

namespace protobuf = google::protobuf;
using Fields = std::map<std::string, std::string>;

constexpr size_t kLongest = 120;

std::string Short(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kLongest)) out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return text.size() > kLongest ? out + "…" : out;
}

void Flatten(const protobuf::Message& message, const std::string& prefix, Fields* out);

std::string ScalarText(const protobuf::Message& message, const protobuf::FieldDescriptor* field,
                       int index) {
  const protobuf::Reflection& reflection = *message.GetReflection();
  bool many = index >= 0;
  using Type = protobuf::FieldDescriptor;
  switch (field->cpp_type()) {
    case Type::CPPTYPE_STRING:
      return many ? reflection.GetRepeatedString(message, field, index)
                  : reflection.GetString(message, field);
    case Type::CPPTYPE_BOOL:
      return (many ? reflection.GetRepeatedBool(message, field, index)
                   : reflection.GetBool(message, field))
                 ? "true"
                 : "false";
    case Type::CPPTYPE_ENUM:
      return std::string((many ? reflection.GetRepeatedEnum(message, field, index)
                               : reflection.GetEnum(message, field))
                             ->name());
    case Type::CPPTYPE_INT64:
      return StrCat(many ? reflection.GetRepeatedInt64(message, field, index)
                         : reflection.GetInt64(message, field));
    case Type::CPPTYPE_INT32:
      return StrCat(many ? reflection.GetRepeatedInt32(message, field, index)
                         : reflection.GetInt32(message, field));
    case Type::CPPTYPE_UINT32:
      return StrCat(many ? reflection.GetRepeatedUInt32(message, field, index)
                         : reflection.GetUInt32(message, field));
    case Type::CPPTYPE_UINT64:
      return StrCat(many ? reflection.GetRepeatedUInt64(message, field, index)
                         : reflection.GetUInt64(message, field));
    default:
      return "";
  }
}

// What tells one element of a list from the others: a mount's place, a map's key.
std::string NameOf(const protobuf::Message& element, int index) {
  for (const char* name : {"dest", "key"}) {
    const auto* field = element.GetDescriptor()->FindFieldByName(name);
    if (field != nullptr && field->cpp_type() == protobuf::FieldDescriptor::CPPTYPE_STRING) {
      return element.GetReflection()->GetString(element, field);
    }
  }
  return StrCat(index);
}

void FlattenList(const protobuf::Message& message, const protobuf::FieldDescriptor* field,
                 const std::string& path, Fields* out) {
  const protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<std::string> all;
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    if (field->cpp_type() == protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      const protobuf::Message& element = reflection.GetRepeatedMessage(message, field, i);
      Flatten(element, StrCat(path, ".", NameOf(element, i)), out);
      continue;
    }
    std::string text = ScalarText(message, field, i);
    std::string_view name, value;
    if (field->name() == "env" && StrCut(text, "=", &name, &value)) {
      (*out)[StrCat(path, ".", name)] = value;
    } else {
      all.push_back(std::move(text));
    }
  }
  if (!all.empty()) (*out)[path] = StrJoin(all, " ");
}

void Flatten(const protobuf::Message& message, const std::string& prefix, Fields* out) {
  std::vector<const protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const protobuf::FieldDescriptor* field : fields) {
    std::string path = prefix.empty() ? std::string(field->name())
                                      : StrCat(prefix, ".", field->name());
    if (field->is_repeated()) {
      FlattenList(message, field, path, out);
    } else if (field->cpp_type() == protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      Flatten(message.GetReflection()->GetMessage(message, field), path, out);
    } else {
      (*out)[path] = ScalarText(message, field, -1);
    }
  }
}

// Smaller is weightier.
int WeightOf(std::string_view path) {
  if (path == "source.identifier") return 0;
  if (path == "exec.meta.args") return 1;
  if (path.starts_with("file.")) return 2;
  if (path.starts_with("exec.meta.env.")) return 3;
  return 4;
}

MissCause CauseOf(const std::string& path, const std::string* before, const std::string* after) {
  std::string change = before == nullptr  ? StrCat("added, ", Short(*after))
                       : after == nullptr ? StrCat("removed, was ", Short(*before))
                                          : StrCat(Short(*before), " → ", Short(*after));
  switch (WeightOf(path)) {
    case 0: return {"source", StrCat("source changed: ", change), "", ""};
    case 1: return {"command", StrCat("command changed: ", change), "", ""};
    case 3: {
      std::string name = path.substr(std::string_view("exec.meta.env.").size());
      return {"env", StrCat("environment variable or build argument ", name, ": ", change), "", ""};
    }
    default: return {"option", StrCat(path, ": ", change), "", ""};
  }
}

bool SameInput(const record::Input& a, const record::Input& b) {
  if (!a.content().empty() && a.content() == b.content()) return true;
  return std::any_of(a.keys().begin(), a.keys().end(), [&](const std::string& key) {
    return std::find(b.keys().begin(), b.keys().end(), key) != b.keys().end();
  });
}

}  // namespace

std::map<std::string, std::string> OpFields(std::string_view bytes) {
  pb::Op op;
  Fields fields;
  if (!op.ParseFromString(std::string(bytes))) return fields;
  op.clear_inputs();
  Flatten(op, "", &fields);
  std::erase_if(fields, [](const auto& field) {
    const std::string& path = field.first;
    return path.starts_with("source.attrs.local.session") || path.ends_with(".key") ||
           path.starts_with("source.attrs.local.unique") || path.starts_with("constraints.");
  });
  return fields;
}

std::string WithoutInputs(const std::string& bytes) {
  pb::Op op;
  if (!op.ParseFromString(bytes)) return bytes;
  op.clear_inputs();
  return op.SerializeAsString();
}

std::optional<MissCause> FirstFieldChange(const Fields& before, const Fields& after) {
  std::vector<std::string> changed;
  for (const auto& [path, value] : before) {
    auto now = after.find(path);
    if (now == after.end() || now->second != value) changed.push_back(path);
  }
  for (const auto& [path, value] : after) {
    if (!before.contains(path)) changed.push_back(path);
  }
  if (changed.empty()) return std::nullopt;
  const std::string& path =
      *std::min_element(changed.begin(), changed.end(), [](const auto& a, const auto& b) {
        return std::pair(WeightOf(a), a) < std::pair(WeightOf(b), b);
      });
  auto value = [&](const Fields& fields) {
    auto found = fields.find(path);
    return found == fields.end() ? nullptr : &found->second;
  };
  return CauseOf(path, value(before), value(after));
}

size_t CommonInputs(const record::Recipe& a, const record::Recipe& b) {
  size_t common = 0;
  for (int i = 0; i < std::min(a.inputs_size(), b.inputs_size()); ++i) {
    common += SameInput(a.inputs(i), b.inputs(i)) ? 1 : 0;
  }
  return common;
}

int FirstOtherInput(const record::Recipe& before, const record::Recipe& now, bool told) {
  for (int i = 0; i < std::min(before.inputs_size(), now.inputs_size()); ++i) {
    const record::Input& a = before.inputs(i);
    const record::Input& b = now.inputs(i);
    if (SameInput(a, b)) continue;
    bool content = !a.content().empty() && !b.content().empty();
    if (!told || content || b.missed() || a.source() != b.source()) return i;
  }
  return -1;
}

}  // namespace kiln::solver
