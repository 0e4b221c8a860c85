// Matching and replacing; expressions and templates are Go's. See source_policy.h.
#include "control/policy/source_policy.h"

#include <re2/re2.h>

#include <map>

#include "base/file.h"
#include "base/strings.h"
#include "llb/git_ref.h"
#include "llb/proto/ops.pb.h"
#include "llb/proto/policy.pb.h"

namespace kiln::control {
namespace {

namespace spb = moby::buildkit::v1::sourcepolicy;

constexpr int kMaxChanges = 20;

StatusOr<std::shared_ptr<const RE2>> Compile(const std::string& expression) {
  auto compiled = std::make_shared<const RE2>(expression, RE2::Quiet);
  if (compiled->ok()) return std::shared_ptr<const RE2>(compiled);
  return UnknownError(StrCat("error parsing regexp: ", compiled->error()));
}

StatusOr<std::shared_ptr<const RE2>> CompileWildcard(const std::string& pattern) {
  if (Contains(pattern, "**")) {
    return UnknownError(StrCat("failed to translate wildcard ", Quote(pattern),
                               " to regexp: invalid wildcard: \"**\""));
  }
  return Compile(StrCat("^", ReplaceAll(RE2::QuoteMeta(pattern), "\\*", "(.*)"), "$"));
}

using Groups = std::vector<re2::StringPiece>;

bool MatchAt(const RE2& expression, const std::string& text, size_t from, Groups* groups) {
  groups->resize(static_cast<size_t>(expression.NumberOfCapturingGroups()) + 1);
  return expression.Match(text, from, text.size(), RE2::UNANCHORED, groups->data(),
                          static_cast<int>(groups->size()));
}

std::string GroupOf(const RE2& expression, const Groups& groups, const std::string& name) {
  int64_t number = -1;
  if (!ParseInt64(name, &number)) {
    auto named = expression.NamedCapturingGroups().find(name);
    if (named == expression.NamedCapturingGroups().end()) return "";
    number = named->second;
  }
  if (number < 0 || number >= static_cast<int64_t>(groups.size())) return "";
  const re2::StringPiece& group = groups[static_cast<size_t>(number)];
  return group.data() == nullptr ? "" : std::string(group.data(), group.size());
}

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Go's Regexp.Expand: $1, $name, ${name}, $$.
std::string Expand(const RE2& expression, const Groups& groups, const std::string& form) {
  std::string out;
  for (size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '$' || i + 1 == form.size()) {
      out += form[i];
      continue;
    }
    if (form[i + 1] == '$') {
      out += form[++i];
      continue;
    }
    bool brace = form[i + 1] == '{';
    size_t start = i + (brace ? 2 : 1), end = start;
    while (end < form.size() && IsNameChar(form[end])) ++end;
    if (end == start || (brace && (end == form.size() || form[end] != '}'))) {
      out += form[i];
      continue;
    }
    out += GroupOf(expression, groups, form.substr(start, end - start));
    i = brace ? end : end - 1;
  }
  return out;
}

std::string ReplaceEach(const RE2& expression, const std::string& text, const std::string& form) {
  std::string out;
  Groups groups;
  size_t at = 0;
  while (at <= text.size() && MatchAt(expression, text, at, &groups)) {
    auto start = static_cast<size_t>(groups[0].data() - text.data());
    out += text.substr(at, start - at);
    out += Expand(expression, groups, form);
    at = start + groups[0].size();
    if (groups[0].empty()) {
      if (at < text.size()) out += text[at];
      ++at;
    }
  }
  if (at < text.size()) out += text.substr(at);
  return out;
}

}  // namespace

struct SourcePolicy::Rule {
  spb::Rule rule;
  std::shared_ptr<const RE2> expression;  // null for exact matches
  Status broken;                          // the expression, told when it is needed
  std::vector<std::shared_ptr<const RE2>> constraints;  // beside those of the rule

  StatusOr<bool> Matches(const pb::SourceOp& source) const;
  StatusOr<std::string> Format(const std::string& identifier, const std::string& form) const;
  StatusOr<bool> Convert(pb::SourceOp* source) const;
};

StatusOr<bool> SourcePolicy::Rule::Matches(const pb::SourceOp& source) const {
  const spb::Selector& selector = rule.selector();
  for (const spb::AttrConstraint& constraint : selector.constraints()) {
    auto attr = source.attrs().find(constraint.key());
    std::string value = attr == source.attrs().end() ? "" : attr->second;
    switch (constraint.condition()) {
      case spb::EQUAL:
        if (value != constraint.value()) return false;
        break;
      case spb::NOTEQUAL:
        if (value == constraint.value()) return false;
        break;
      case spb::MATCHES: {
        StatusOr<std::shared_ptr<const RE2>> compiled = Compile(constraint.value());
        if (!compiled.ok()) {
          return Annotate(compiled.status(),
                          StrCat("invalid regex ", Quote(constraint.value())));
        }
        if (!RE2::PartialMatch(value, **compiled)) return false;
        break;
      }
      default:
        return UnknownError(StrCat("unknown attr condition: ", int{constraint.condition()}));
    }
  }
  if (selector.identifier() == source.identifier()) return true;
  if (selector.match_type() == spb::EXACT) return false;
  RETURN_IF_ERROR(broken);
  return RE2::PartialMatch(source.identifier(), *expression);
}

StatusOr<std::string> SourcePolicy::Rule::Format(const std::string& identifier,
                                                 const std::string& form) const {
  if (rule.selector().match_type() == spb::EXACT) return form;
  RETURN_IF_ERROR(broken);
  if (rule.selector().match_type() == spb::REGEX) {
    return ReplaceEach(*expression, identifier, form);
  }
  Groups groups;
  if (!MatchAt(*expression, identifier, 0, &groups)) return identifier;
  return Expand(*expression, groups, form);
}

StatusOr<bool> SourcePolicy::Rule::Convert(pb::SourceOp* source) const {
  if (!rule.has_updates()) return UnknownError("missing destination for convert rule");
  std::string form = rule.updates().identifier();
  if (form.empty()) form = rule.selector().identifier();
  StatusOr<std::string> identifier = Format(source->identifier(), form);
  if (!identifier.ok()) return Annotate(identifier.status(), "error formatting destination");
  bool changed = false;
  if (!identifier->empty() && *identifier != source->identifier()) {
    source->set_identifier(*identifier);
    changed = true;
  }
  for (const auto& [key, value] : rule.updates().attrs()) {
    std::string& attr = (*source->mutable_attrs())[key];
    if (attr == value) continue;
    attr = value;
    changed = true;
  }
  return changed;
}

StatusOr<SourcePolicy> SourcePolicy::Parse(const std::vector<std::string>& policies) {
  auto all = std::make_shared<std::vector<Rules>>();
  for (const std::string& bytes : policies) {
    spb::Policy policy;
    if (!policy.ParseFromString(bytes)) return InvalidArgumentError("invalid source policy");
    Rules rules;
    for (const spb::Rule& from : policy.rules()) {
      if (!from.has_selector()) return UnknownError("invalid nil selector in policy");
      Rule rule;
      rule.rule = from;
      const spb::Selector& selector = from.selector();
      if (selector.match_type() != spb::EXACT) {
        auto compiled = selector.match_type() == spb::REGEX
                            ? Compile(selector.identifier())
                            : CompileWildcard(selector.identifier());
        rule.broken = compiled.status();
        if (compiled.ok()) rule.expression = *compiled;
      }
      rules.push_back(std::move(rule));
    }
    all->push_back(std::move(rules));
  }
  SourcePolicy out;
  for (const Rules& rules : *all) {
    if (!rules.empty()) out.policies_.push_back(&rules);
  }
  out.owned_ = std::move(all);
  return out;
}

StatusOr<bool> SourcePolicy::EvaluateRules(const Rules& rules, pb::SourceOp* source) {
  bool deny = false;
  const std::string identifier = source->identifier();
  for (const Rule& rule : rules) {
    StatusOr<bool> matches = rule.Matches(*source);
    if (!matches.ok()) return Annotate(matches.status(), "error matching source policy");
    if (!*matches) continue;
    switch (rule.rule.action()) {
      case spb::ALLOW: deny = false; break;
      case spb::DENY: deny = true; break;
      case spb::CONVERT: {
        StatusOr<bool> changed = rule.Convert(source);
        if (!changed.ok()) return Annotate(changed.status(), "error mutating source policy");
        if (*changed) return true;
        break;
      }
      default:
        return UnknownError(StrCat("source policy: rule ", int{rule.rule.action()}, " ",
                                   rule.rule.selector().identifier(), ": unknown type ",
                                   Quote(identifier)));
    }
  }
  if (!deny) return false;
  return UnknownError(StrCat("source ", Quote(identifier),
                             " denied by policy: source denied by policy"));
}

StatusOr<bool> SourcePolicy::Evaluate(pb::SourceOp* source) const {
  bool changed = false;
  for (int i = 0; !policies_.empty(); ++i) {
    if (i > kMaxChanges) {
      return UnknownError("too many mutations on a single source: too many operations");
    }
    bool again = false;
    for (const Rules* rules : policies_) {
      ASSIGN_OR_RETURN(again, EvaluateRules(*rules, source));
      if (again) break;
    }
    if (!again) break;
    changed = true;
  }
  return changed;
}

void NormalizeIdentifier(pb::SourceOp* source) {
  constexpr std::string_view kScheme = "git://";
  std::string_view text = source->identifier();
  if (!text.starts_with(kScheme)) return;
  text.remove_prefix(kScheme.size());
  auto parse = [](std::string_view url) {
    return llb::ParseGitUrl(llb::IsGitTransport(url) ? std::string(url)
                                                     : StrCat("https://", url));
  };
  StatusOr<llb::GitUrl> named = parse(text);
  if (!named.ok()) return;
  auto full = source->attrs().find("git.fullurl");
  StatusOr<llb::GitUrl> remote = full == source->attrs().end() ? named : parse(full->second);
  if (!remote.ok()) return;
  std::string out = StrCat(kScheme, remote->host, CleanPath(StrCat("/", remote->path)));
  if (!named->ref.empty() || !named->subdir.empty()) out += StrCat("#", named->ref);
  if (!named->subdir.empty()) out += StrCat(":", named->subdir);
  source->set_identifier(out);
}

}  // namespace kiln::control
