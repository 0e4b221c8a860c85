// See go_template.h.
#include "cmd/buildctl/go_template.h"

#include <cctype>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/strings.h"
#include "base/units.h"

namespace kiln::buildctl {
namespace {

using Json = nlohmann::ordered_json;

// The Go name of a member: "createdAt" → "CreatedAt", "id" → "ID".
bool IsField(const std::string& member, std::string_view field) {
  static const std::pair<const char*, const char*> kOdd[] = {
      {"id", "ID"}, {"gcPolicy", "GCPolicy"}, {"cdiDevices", "CDIDevices"}, {"os", "OS"},
      {"os.version", "OSVersion"}, {"os.features", "OSFeatures"}};
  for (const auto& [json, go] : kOdd) {
    if (member == json) return field == go;
  }
  return member.size() == field.size() && !member.empty() &&
         std::toupper(static_cast<unsigned char>(member[0])) == field[0] &&
         std::string_view(member).substr(1) == field.substr(1);
}

bool Truth(const Json& value) {
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return value.is_object() || !value.empty();
}

std::string Printed(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<no value>";
  if (value.is_array()) {
    std::string out = "[";
    for (const Json& part : value) out += (out.size() > 1 ? " " : "") + Printed(part);
    return out + "]";
  }
  if (value.is_object()) {
    std::string out = "map[";
    for (const auto& [key, part] : value.items()) {
      out += StrCat(out.size() > 4 ? " " : "", key, ":", Printed(part));
    }
    return out + "]";
  }
  return value.dump();
}

// A field's value as Go prints it, which depends on the type that JSON does not keep.
std::string PrintedField(const Json& value, std::string_view member) {
  if (value.is_null() && member == "lastUsedAt") return "<nil>";
  if (value.is_null() && (member.starts_with("num") || member.ends_with("eneration"))) return "0";
  if (value.is_null() && member == "pinned") return "false";
  if (value.is_null() && !member.empty()) return "[]";
  if (value.is_number() && member == "keepDuration") return FormatDuration(value.get<int64_t>());
  if (value.is_string() && member.ends_with("edAt")) {
    return ReplaceAll(ReplaceAll(value.get<std::string>(), "T", " "), "Z", " +0000 UTC");
  }
  return Printed(value);
}

}  // namespace

struct GoTemplate::Node {
  enum class Kind { kList, kText, kAction, kIf, kRange, kWith } kind = Kind::kList;
  std::string text;                // of kText, or the pipeline of the others
  size_t column = 0;
  std::vector<Node> body;
  std::vector<Node> otherwise;
};

GoTemplate::GoTemplate() : root_(std::make_unique<Node>()) {}
GoTemplate::~GoTemplate() = default;
GoTemplate::GoTemplate(GoTemplate&& other) noexcept = default;

class TemplateParser {
 public:
  explicit TemplateParser(std::string_view text) : text_(text) {}

  StatusOr<std::vector<GoTemplate::Node>> List(std::string* end) {
    std::vector<GoTemplate::Node> nodes;
    while (at_ < text_.size()) {
      size_t open = text_.find("{{", at_);
      std::string_view plain = text_.substr(at_, open == std::string_view::npos ? open : open - at_);
      if (!plain.empty()) nodes.push_back({GoTemplate::Node::Kind::kText, std::string(plain), 0, {}, {}});
      if (open == std::string_view::npos) {
        at_ = text_.size();
        break;
      }
      size_t close = text_.find("}}", open);
      if (close == std::string_view::npos) return Unclosed(text_.substr(open + 2));
      size_t column = open + 2;
      std::string action(TrimSpace(text_.substr(column, close - column)));
      at_ = close + 2;
      std::string word = action.substr(0, action.find(' '));
      std::string rest(TrimSpace(std::string_view(action).substr(word.size())));
      if (word == "end" || word == "else") {
        *end = action;
        return nodes;
      }
      ASSIGN_OR_RETURN(GoTemplate::Node node, Action(word, rest, action, column));
      nodes.push_back(std::move(node));
    }
    end->clear();
    return nodes;
  }

 private:
  StatusOr<GoTemplate::Node> Action(const std::string& word, const std::string& rest,
                                    const std::string& action, size_t column) {
    using Kind = GoTemplate::Node::Kind;
    Kind kind = word == "range" ? Kind::kRange
                : word == "if"  ? Kind::kIf
                : word == "with" ? Kind::kWith : Kind::kAction;
    if (kind == Kind::kAction) {
      if (action.empty()) return UnknownError("template: :1: missing value for command");
      return GoTemplate::Node{kind, action, column, {}, {}};
    }
    GoTemplate::Node node{kind, rest, column + word.size() + 1, {}, {}};
    std::string end;
    ASSIGN_OR_RETURN(node.body, List(&end));
    if (end.starts_with("else")) {
      ASSIGN_OR_RETURN(node.otherwise, List(&end));
    }
    if (end != "end") return UnknownError("template: :1: unexpected EOF");
    return node;
  }

  static Status Unclosed(std::string_view action) {
    std::string_view last = TrimSpace(action);
    if (last.ends_with(" .")) return UnknownError("template: :1: illegal number syntax: \".\"");
    return UnknownError("template: :1: unclosed action");
  }

  std::string_view text_;
  size_t at_ = 0;
};

class TemplateRun {
 public:
  TemplateRun(const std::string& type) : type_(type) {}

  Status Nodes(const std::vector<GoTemplate::Node>& nodes, const Json& dot) {
    using Kind = GoTemplate::Node::Kind;
    for (const GoTemplate::Node& node : nodes) {
      if (node.kind == Kind::kText) {
        out_ += node.text;
        continue;
      }
      column_ = node.column;
      ASSIGN_OR_RETURN(Json value, Pipeline(node.text, dot));
      if (node.kind == Kind::kAction) {
        out_ += PrintedField(value, member_);
      } else if (!Truth(value)) {
        RETURN_IF_ERROR(Nodes(node.otherwise, dot));
      } else if (node.kind == Kind::kRange) {
        for (const Json& part : value) RETURN_IF_ERROR(Nodes(node.body, part));
      } else {
        RETURN_IF_ERROR(Nodes(node.body, node.kind == Kind::kWith ? value : dot));
      }
    }
    return OkStatus();
  }

  StatusOr<Json> Pipeline(std::string_view text, const Json& dot) {
    StatusOr<Json> value = Json();
    bool first = true;
    for (std::string_view command : SplitTop(text, '|')) {
      member_.clear();
      ASSIGN_OR_RETURN(Json next, Call(TrimSpace(command), dot, first ? nullptr : &*value));
      value = std::move(next);
      first = false;
    }
    return value;
  }

  const std::string& out() const { return out_; }

 private:
  // Splits outside quotes and parentheses.
  static std::vector<std::string_view> SplitTop(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    int depth = 0;
    bool quoted = false;
    size_t start = 0;
    for (size_t i = 0; i <= text.size(); ++i) {
      if (i == text.size() || (text[i] == separator && depth == 0 && !quoted)) {
        if (i > start) parts.push_back(text.substr(start, i - start));
        start = i + 1;
      } else if (text[i] == '"' && (i == 0 || text[i - 1] != '\\')) {
        quoted = !quoted;
      } else if (!quoted) {
        depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
      }
    }
    return parts;
  }

  StatusOr<Json> Call(std::string_view command, const Json& dot, const Json* piped) {
    std::vector<std::string_view> words = SplitTop(command, ' ');
    if (words.empty()) return UnknownError("template: :1: missing value for command");
    std::string name(words.front());
    bool function = std::isalpha(static_cast<unsigned char>(name[0])) != 0 && name != "true" &&
                    name != "false" && name != "nil";
    if (!function) return Operand(words.front(), dot);
    std::vector<Json> args;
    for (size_t i = 1; i < words.size(); ++i) {
      ASSIGN_OR_RETURN(Json arg, Operand(words[i], dot));
      args.push_back(std::move(arg));
    }
    if (piped != nullptr) args.push_back(*piped);
    member_.clear();
    return Function(name, args);
  }

  StatusOr<Json> Function(const std::string& name, const std::vector<Json>& args) {
    if (name == "json" && args.size() == 1) return Json(args[0].dump());
    if (name == "len" && args.size() == 1) {
      return Json(args[0].is_string() ? args[0].get_ref<const std::string&>().size()
                                      : args[0].size());
    }
    if (name == "not" && args.size() == 1) return Json(!Truth(args[0]));
    if (name == "eq" && args.size() == 2) return Json(args[0] == args[1]);
    if (name == "ne" && args.size() == 2) return Json(args[0] != args[1]);
    if (name == "and" && !args.empty()) {
      for (const Json& arg : args) if (!Truth(arg)) return arg;
      return args.back();
    }
    if (name == "or" && !args.empty()) {
      for (const Json& arg : args) if (Truth(arg)) return arg;
      return args.back();
    }
    if (name == "print" || name == "println") {
      std::string text;
      for (const Json& arg : args) text += (text.empty() ? "" : " ") + Printed(arg);
      return Json(name == "println" ? text + "\n" : text);
    }
    if (name == "index" && args.size() >= 2) return Index(args);
    return UnknownError(StrCat("template: :1: function ", Quote(name), " not defined"));
  }

  static StatusOr<Json> Index(const std::vector<Json>& args) {
    Json value = args[0];
    for (size_t i = 1; i < args.size(); ++i) {
      const Json& key = args[i];
      if (value.is_object() && key.is_string()) {
        auto found = value.find(key.get<std::string>());
        value = found == value.end() ? Json("") : Json(*found);
      } else if (value.is_array() && key.is_number() && key.get<size_t>() < value.size()) {
        value = Json(value[key.get<size_t>()]);
      } else {
        return UnknownError("template: :1: error calling index: index out of range");
      }
    }
    return value;
  }

  StatusOr<Json> Operand(std::string_view word, const Json& dot) {
    if (word.front() == '(') {
      size_t close = word.rfind(')');
      if (close == std::string_view::npos) return UnknownError("template: :1: unclosed left paren");
      ASSIGN_OR_RETURN(Json value, Pipeline(word.substr(1, close - 1), dot));
      return Fields(word.substr(close + 1), value);
    }
    if (word.front() == '.') return Fields(word, dot);
    Json value = Json::parse(word == "nil" ? "null" : word, nullptr, false);
    if (value.is_discarded()) {
      return UnknownError(StrCat("template: :1: unexpected ", Quote(word), " in operand"));
    }
    return value;
  }

  StatusOr<Json> Fields(std::string_view path, const Json& start) {
    Json value = start;
    for (std::string_view field : StrSplit(path, '.')) {
      if (field.empty()) continue;
      const Json* found = nullptr;
      if (value.is_object()) {
        for (const auto& [member, part] : value.items()) {
          if (!IsField(member, field) && member != field) continue;
          found = &part;
          member_ = member;
        }
      }
      if (found == nullptr && !type_.empty()) {
        return UnknownError(StrCat("template: :1:", column_, ": executing \"\" at <", path,
                                   ">: can't evaluate field ", field, " in type ", type_));
      }
      if (found == nullptr) {  // unset, which JSON does not tell from absent
        member_ = field;
        member_[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(member_[0])));
      }
      Json next = found == nullptr ? Json() : *found;
      value = std::move(next);
    }
    return value;
  }

  const std::string& type_;
  size_t column_ = 0;
  std::string member_;  // the field that the value in hand comes from, if any
  std::string out_;
};

StatusOr<GoTemplate> GoTemplate::Parse(std::string_view text) {
  if (text == "json") text = "{{json .}}";
  GoTemplate result;
  std::string end;
  ASSIGN_OR_RETURN(result.root_->body, TemplateParser(text).List(&end));
  if (!end.empty()) return UnknownError(StrCat("template: :1: unexpected {{", end, "}}"));
  return result;
}

StatusOr<std::string> GoTemplate::Render(const Json& value, const std::string& type) const {
  TemplateRun run(type);
  RETURN_IF_ERROR(run.Nodes(root_->body, value));
  return run.out();
}

}  // namespace kiln::buildctl
