// See command.h.
#include "cmd/buildctl/command.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/units.h"
#include "cmd/buildctl/help.h"
#include "cmd/buildctl/version.h"

namespace kiln::buildctl {

std::string Invocation::Text(const std::string& name) const {
  auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? "" : found->second.back();
}

std::vector<std::string> Invocation::List(const std::string& name) const {
  auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

int64_t Invocation::Int(const std::string& name) const {
  return std::strtoll(Text(name).c_str(), nullptr, 0);
}

double Invocation::Float(const std::string& name) const {
  return std::strtod(Text(name).c_str(), nullptr);
}

int64_t Invocation::Nanos(const std::string& name) const {
  return ParseDuration(Text(name)).value_or(0);
}

namespace {

// What the value of a flag is wrong with, in Go's words; empty if nothing.
std::string FaultOf(const Flag& flag, const std::string& value) {
  std::string quoted = Quote(value);
  char* end = nullptr;
  if (flag.kind == Kind::kInt) {
    errno = 0;
    std::strtoll(value.c_str(), &end, 0);
    if (value.empty() || *end != '\0') {
      return StrCat("strconv.ParseInt: parsing ", quoted, ": invalid syntax");
    }
    if (errno == ERANGE) return StrCat("strconv.ParseInt: parsing ", quoted, ": value out of range");
  } else if (flag.kind == Kind::kFloat) {
    std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0') {
      return StrCat("strconv.ParseFloat: parsing ", quoted, ": invalid syntax");
    }
  } else if (flag.kind == Kind::kDuration) {
    StatusOr<int64_t> nanos = ParseDuration(value);
    if (!nanos.ok()) return nanos.status().message();
  } else if (flag.kind == Kind::kBool) {
    bool parsed = false;
    if (!ParseBool(value, &parsed)) {
      return StrCat("strconv.ParseBool: parsing ", quoted, ": invalid syntax");
    }
  }
  return "";
}

bool Named(const Command& command, const std::string& word) {
  return command.name == word || (!command.alias.empty() && command.alias == word);
}

}  // namespace

// Walks the command words by itself, so that an unknown one is told from an
// argument; the flags in between are CLI11's.
class Parser {
 public:
  explicit Parser(const Command& root) : path_{&root} {}

  // Splits argv into the command path and the rest.
  Status Parse(std::vector<std::string> words);
  const std::vector<const Command*>& path() const { return path_; }
  const Invocation& invocation() const { return invocation_; }
  bool help() const { return help_; }
  bool version() const { return version_; }
  const std::string& unknown() const { return unknown_; }
  bool misused() const { return misused_ || path_.size() == 1; }

 private:
  void Descend(const std::vector<std::string>& words);
  const Flag* FindFlag(const std::string& word) const;
  Status Read(std::vector<std::string> words);
  Status Keep(const Flag& flag, const CLI::Option& option);

  std::vector<const Command*> path_;
  Invocation invocation_;
  bool help_ = false;
  bool version_ = false;
  std::string unknown_;
  bool misused_ = false;  // the fault is before the first command
  std::vector<size_t> command_positions_;
};

const Flag* Parser::FindFlag(const std::string& word) const {
  std::string name = word.substr(word.starts_with("--") ? 2 : 1);
  name = name.substr(0, name.find('='));
  for (const Command* command : path_) {
    for (const Flag& flag : command->flags) {
      if (name == flag.name || (flag.alias != nullptr && name == flag.alias)) return &flag;
    }
  }
  return nullptr;
}

void Parser::Descend(const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return;
    if (word.size() > 1 && word[0] == '-') {
      const Flag* flag = FindFlag(word);
      if (flag == nullptr && word != "--help" && word != "-h" && path_.size() == 1) misused_ = true;
      if (flag != nullptr && flag->kind != Kind::kBool && !Contains(word, "=")) ++i;
      continue;
    }
    if (path_.back()->commands.empty()) return;
    const Command* next = nullptr;
    for (const Command& sub : path_.back()->commands) {
      if (Named(sub, word)) next = &sub;
    }
    if (next == nullptr) {
      if (word == "help" || word == "h") {
        help_ = true;
        command_positions_.push_back(i);
        continue;
      }
      unknown_ = word;
      return;
    }
    path_.push_back(next);
    command_positions_.push_back(i);
  }
}

Status Parser::Keep(const Flag& flag, const CLI::Option& option) {
  std::vector<std::string> values = option.results();
  for (const std::string& value : values) {
    std::string fault = FaultOf(flag, value);
    if (!fault.empty()) {
      return InvalidArgumentError(
          StrCat("invalid value ", Quote(value), " for flag -", flag.name, ": ", fault));
    }
  }
  if (flag.kind == Kind::kBool) {
    bool on = false;
    if (!values.empty()) ParseBool(values.back(), &on);
    values = on ? std::vector<std::string>{"true"} : std::vector<std::string>{};
  } else if (values.empty() && !flag.default_text.empty()) {
    values = {flag.default_text};
  }
  invocation_.values_[flag.name] = std::move(values);
  return OkStatus();
}

Status Parser::Read(std::vector<std::string> words) {
  CLI::App app;
  app.set_help_flag();
  app.add_flag("--help,-h", help_);
  if (path_.size() == 1) app.add_flag("--version,-v", version_);
  std::vector<std::pair<const Flag*, CLI::Option*>> options;
  for (const Command* command : path_) {
    for (const Flag& flag : command->flags) {
      std::string names = StrCat("--", flag.name);
      if (flag.alias != nullptr) names += StrCat(",-", flag.alias);
      if (flag.kind == Kind::kBool) {
        options.emplace_back(&flag, app.add_flag(names)->take_last());
      } else {
        CLI::Option* option = app.add_option(names)->expected(1)->allow_extra_args(false);
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        options.emplace_back(&flag, option);
      }
    }
  }
  app.allow_extras();
  std::reverse(words.begin(), words.end());
  try {
    app.parse(std::move(words));
  } catch (const CLI::ArgumentMismatch& error) {
    std::string text = error.what();
    return InvalidArgumentError(StrCat("flag needs an argument: ", text.substr(0, text.find(':'))));
  } catch (const CLI::ParseError& error) {
    return InvalidArgumentError(error.what());
  }
  for (const std::string& extra : app.remaining()) {
    if (extra.size() > 1 && extra[0] == '-') {
      std::string name(TrimPrefix(TrimPrefix(extra, "-"), "-"));
      return InvalidArgumentError(
          StrCat("flag provided but not defined: -", name.substr(0, name.find('='))));
    }
    invocation_.args_.push_back(extra);
  }
  for (const auto& [flag, option] : options) RETURN_IF_ERROR(Keep(*flag, *option));
  return OkStatus();
}

Status Parser::Parse(std::vector<std::string> words) {
  for (std::string& word : words) {
    if (word == "--") break;
    // Go's flags may have one dash or two.
    if (word.size() > 2 && word[0] == '-' && word[1] != '-') word.insert(0, "-");
  }
  Descend(words);
  for (auto at = command_positions_.rbegin(); at != command_positions_.rend(); ++at) {
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(*at));
  }
  return Read(std::move(words));
}

int RunCommandLine(const Command& root, int argc, const char* const* argv,
                   const std::function<void(const Status&)>& fail) {
  Parser parser(root);
  Status status = parser.Parse({argv + 1, argv + argc});
  std::string help = HelpText(parser.path());
  if (!status.ok()) {
    std::fprintf(stderr, "Incorrect Usage: %s\n\n", status.message().c_str());
    if (parser.misused()) std::fputs(HelpText({&root}).c_str(), stdout);
    fail(status);
    return 1;
  }
  if (parser.version()) {
    std::puts(StrCat("buildctl ", VersionPackage(), " ", Version(), " ", VersionRevision()).c_str());
    return 0;
  }
  const Command& command = *parser.path().back();
  if (!parser.unknown().empty() && !parser.help()) {
    std::fprintf(stderr, "No help topic for '%s'\n", parser.unknown().c_str());
    return 3;
  }
  if (parser.help() || parser.path().size() == 1 || !command.run) {
    std::fputs(help.c_str(), stdout);
    return 0;
  }
  status = root.run ? root.run(parser.invocation()) : OkStatus();
  if (status.ok()) status = command.run(parser.invocation());
  if (status.ok()) return 0;
  std::fflush(stdout);
  fail(status);
  return 1;
}

}  // namespace kiln::buildctl
