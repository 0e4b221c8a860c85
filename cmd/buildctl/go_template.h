// GoTemplate: the part of Go's text/template that --format is used with.
//
// {{.A.B}}, {{json .}}, range/if/else/with/end, len, index, and parentheses.
// Values are JSON whose members stand for the fields of Go's structs.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/status.h"

namespace kiln::buildctl {

class GoTemplate {
 public:
  // "json" stands for "{{json .}}". UNKNOWN `template: :1: …`.
  static StatusOr<GoTemplate> Parse(std::string_view text);
  ~GoTemplate();
  GoTemplate(GoTemplate&& other) noexcept;

  // `type` is the Go type of objects whose missing members are errors.
  StatusOr<std::string> Render(const nlohmann::ordered_json& value, const std::string& type) const;

 private:
  struct Node;
  friend class TemplateParser;
  friend class TemplateRun;
  GoTemplate();
  std::unique_ptr<Node> root_;
};

}  // namespace kiln::buildctl
