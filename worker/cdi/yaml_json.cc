// libyaml's node graph turned into a tree; aliases are copied, within a bound.
#include "worker/cdi/yaml_json.h"

#include <yaml.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace kiln::worker::cdi {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr size_t kMaxNodes = 1 << 16;  // aliases of aliases grow without end

class Document {
 public:
  explicit Document(std::string_view text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
    loaded_ = yaml_parser_load(&parser_, &document_) == 1;
  }
  ~Document() {
    if (loaded_) yaml_document_delete(&document_);
    yaml_parser_delete(&parser_);
  }
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  StatusOr<json> Convert() {
    if (!loaded_) {
      return InvalidArgumentError(StrCat("yaml: line ", parser_.problem_mark.line + 1, ": ",
                                         parser_.problem == nullptr ? "" : parser_.problem));
    }
    yaml_node_t* root = yaml_document_get_root_node(&document_);
    if (root == nullptr) return json();
    return Node(*root, 0);
  }

 private:
  yaml_node_t* At(int index) { return yaml_document_get_node(&document_, index); }

  StatusOr<json> Node(const yaml_node_t& node, int depth) {
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      return InvalidArgumentError(
          StrCat("yaml: line ", node.start_mark.line + 1, ": document is too deep or too large"));
    }
    switch (node.type) {
      case YAML_SCALAR_NODE:
        return Scalar(node);
      case YAML_SEQUENCE_NODE:
        return Sequence(node, depth);
      case YAML_MAPPING_NODE:
        return Mapping(node, depth);
      default:
        return json();
    }
  }

  static std::string_view TextOf(const yaml_node_t& node) {
    return {reinterpret_cast<const char*>(node.data.scalar.value), node.data.scalar.length};
  }

  static json Scalar(const yaml_node_t& node) {
    std::string_view text = TextOf(node);
    if (node.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return std::string(text);
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
      return json();
    }
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
    return Number(text);
  }

  // Octal is the one form of numbers that JSON's grammar lacks and device files use.
  static json Number(std::string_view text) {
    std::string_view digits = text;
    if (digits.starts_with("0o")) {
      digits.remove_prefix(2);
    } else if (!(digits.size() > 1 && digits[0] == '0')) {
      digits = {};
    }
    if (!digits.empty() && digits.find_first_not_of("01234567") == std::string_view::npos &&
        digits.size() < 20) {
      uint64_t value = 0;
      for (char digit : digits) value = value * 8 + static_cast<uint64_t>(digit - '0');
      return value;
    }
    json number = json::parse(text, nullptr, /*allow_exceptions=*/false);
    return number.is_number() ? number : json(std::string(text));
  }

  StatusOr<json> Sequence(const yaml_node_t& node, int depth) {
    json out = json::array();
    for (auto item = node.data.sequence.items.start; item < node.data.sequence.items.top; ++item) {
      ASSIGN_OR_RETURN(json value, Node(*At(*item), depth + 1));
      out.push_back(std::move(value));
    }
    return out;
  }

  StatusOr<json> Mapping(const yaml_node_t& node, int depth) {
    json out = json::object();
    for (auto pair = node.data.mapping.pairs.start; pair < node.data.mapping.pairs.top; ++pair) {
      const yaml_node_t& key = *At(pair->key);
      if (key.type != YAML_SCALAR_NODE) {
        return InvalidArgumentError(
            StrCat("yaml: line ", key.start_mark.line + 1, ": a key must be a scalar"));
      }
      std::string name(TextOf(key));
      if (out.contains(name)) {
        return InvalidArgumentError(StrCat("yaml: line ", key.start_mark.line + 1, ": key ",
                                           Quote(name), " already set in map"));
      }
      ASSIGN_OR_RETURN(json value, Node(*At(pair->value), depth + 1));
      out[std::move(name)] = std::move(value);
    }
    return out;
  }

  yaml_parser_t parser_ = {};
  yaml_document_t document_ = {};
  bool loaded_ = false;
  size_t nodes_ = 0;
};

}  // namespace

StatusOr<json> ParseYaml(std::string_view text) { return Document(text).Convert(); }

}  // namespace kiln::worker::cdi
