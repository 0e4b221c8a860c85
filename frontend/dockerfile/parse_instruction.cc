// One function for each instruction: node → typed value. The order of the checks
// decides which of several errors is told, and is the reference's.
#include <algorithm>
#include <cctype>

#include "base/strings.h"
#include "base/suggest.h"
#include "base/units.h"
#include "base/utf8.h"
#include "frontend/dockerfile/flags.h"
#include "frontend/dockerfile/parse_lint.h"
#include "frontend/dockerfile/parser.h"

namespace kiln::dockerfile {

namespace {

using Kind = FlagSet::Kind;
using Parsed = std::variant<Command, Stage>;

Status AtLeastOne(std::string_view keyword) {
  return UnknownError(StrCat(keyword, " requires at least one argument"));
}
Status ExactlyOne(std::string_view keyword) {
  return UnknownError(StrCat(keyword, " requires exactly one argument"));
}

template <typename T>
T Begin(const Node& node) {
  T command;
  command.name = node.keyword;
  command.code = TrimUnicodeSpace(node.original);
  command.location = node.Location();
  command.comments = node.comments;
  return command;
}

// "# name text…" above a definition.
std::string DocComment(const std::vector<std::string>& comments, const std::string& name) {
  if (name.empty()) return "";
  const std::string prefix = name + " ";
  for (const std::string& comment : comments) {
    if (comment.starts_with(prefix)) return comment.substr(prefix.size());
  }
  return "";
}

Status NoFlags(const Node& node) { return FlagSet().Parse(node.flags); }

StatusOr<std::vector<KeyValuePair>> ReadPairs(const Node& node, std::string_view keyword) {
  RETURN_IF_ERROR(NoFlags(node));
  if (node.args.empty()) return AtLeastOne(keyword);
  std::vector<KeyValuePair> pairs;
  for (size_t i = 0; i + 2 < node.args.size(); i += 3) {
    if (node.args[i].empty()) return UnknownError(StrCat(keyword, " names can not be blank"));
    pairs.push_back({node.args[i], node.args[i + 1], node.args[i + 2].empty()});
  }
  return pairs;
}

StatusOr<SourcesAndDest> ReadFiles(const Node& node, std::string_view keyword) {
  SourcesAndDest files;
  files.dest_path = node.args.back();
  Heredoc head;
  if (ParseHeredocHead(files.dest_path, &head)) {
    return UnknownError(StrCat(keyword, " cannot accept a heredoc as a destination"));
  }
  for (size_t i = 0; i + 1 < node.args.size(); ++i) {
    if (!ParseHeredocHead(node.args[i], &head)) {
      files.source_paths.push_back(node.args[i]);
      continue;
    }
    // Of several documents of one name the last one counts.
    std::string data;
    for (const Heredoc& heredoc : node.heredocs) {
      if (heredoc.name == head.name) data = heredoc.content;
    }
    if (head.chomp) data = ChompHeredocContent(data);
    files.source_contents.push_back({head.name, std::move(data), head.expand});
  }
  return files;
}

Status CheckTwoArgs(const Node& node, std::string_view keyword) {
  if (node.args.size() >= 2) return OkStatus();
  return UnknownError(StrCat(keyword,
                             " requires at least two arguments, but only one was provided. "
                             "Destination could not be determined"));
}

StatusOr<Parsed> ParseAdd(const Node& node) {
  RETURN_IF_ERROR(CheckTwoArgs(node, "ADD"));
  FlagSet flags;
  for (const char* name : {"chown", "chmod", "checksum"}) flags.Declare(name, Kind::kText);
  for (const char* name : {"link", "keep-git-dir", "unpack"}) flags.Declare(name, Kind::kBool);
  flags.Declare("exclude", Kind::kTexts);
  RETURN_IF_ERROR(flags.Parse(node.flags));
  auto add = Begin<AddCommand>(node);
  ASSIGN_OR_RETURN(add.files, ReadFiles(node, "ADD"));
  add.chown = flags.text("chown");
  add.chmod = flags.text("chmod");
  add.checksum = flags.text("checksum");
  add.link = flags.is_true("link");
  add.exclude_patterns = flags.texts("exclude");
  if (flags.given("unpack")) add.unpack = flags.is_true("unpack");
  if (flags.given("keep-git-dir")) add.keep_git_dir = flags.is_true("keep-git-dir");
  return Parsed(Command(std::move(add)));
}

StatusOr<Parsed> ParseCopy(const Node& node) {
  RETURN_IF_ERROR(CheckTwoArgs(node, "COPY"));
  FlagSet flags;
  for (const char* name : {"chown", "chmod", "from"}) flags.Declare(name, Kind::kText);
  for (const char* name : {"link", "parents"}) flags.Declare(name, Kind::kBool);
  flags.Declare("exclude", Kind::kTexts);
  RETURN_IF_ERROR(flags.Parse(node.flags));
  auto copy = Begin<CopyCommand>(node);
  ASSIGN_OR_RETURN(copy.files, ReadFiles(node, "COPY"));
  copy.from = flags.text("from");
  copy.chown = flags.text("chown");
  copy.chmod = flags.text("chmod");
  copy.link = flags.is_true("link");
  copy.parents = flags.is_true("parents");
  copy.exclude_patterns = flags.texts("exclude");
  return Parsed(Command(std::move(copy)));
}

StatusOr<Parsed> ParseArg(const Node& node) {
  if (node.args.empty()) return AtLeastOne("ARG");
  auto arg = Begin<ArgCommand>(node);
  for (const std::string& word : node.args) {
    ArgPair pair;
    std::string_view key;
    std::string_view value;
    if (StrCut(word, "=", &key, &value)) {
      if (key.empty()) return UnknownError("ARG names can not be blank");
      pair.value = std::string(value);
    }
    pair.key = key;
    pair.doc_comment = DocComment(node.comments, pair.key);
    arg.args.push_back(std::move(pair));
  }
  return Parsed(Command(std::move(arg)));
}

// Shell form is one text; the JSON form stays as it is.
std::vector<std::string> CommandWords(const std::vector<std::string>& args, bool json) {
  if (json || args.empty()) return args;
  return {StrJoin(args, " ")};
}

CommandLine ReadCommandLine(const Node& node) {
  CommandLine line;
  line.args = CommandWords(node.args, node.json);
  line.prepend_shell = !node.json;
  for (const Heredoc& heredoc : node.heredocs) {
    line.files.push_back({heredoc.name, heredoc.content, heredoc.chomp});
  }
  return line;
}

template <typename T>
StatusOr<Parsed> ParseCommandLine(const Node& node) {
  RETURN_IF_ERROR(NoFlags(node));
  auto command = Begin<T>(node);
  command.line = ReadCommandLine(node);
  return Parsed(Command(std::move(command)));
}

StatusOr<Parsed> ParseRun(const Node& node) {
  FlagSet flags;
  flags.Declare("device", Kind::kTexts);
  flags.Declare("mount", Kind::kTexts);
  flags.Declare("network", Kind::kText);
  flags.Declare("security", Kind::kText);
  RETURN_IF_ERROR(flags.Parse(node.flags));
  auto run = Begin<RunCommand>(node);
  run.flags_used = flags.used();
  run.line = ReadCommandLine(node);
  for (const std::string& text : flags.texts("device")) {
    ASSIGN_OR_RETURN(Device device, ParseDevice(text));
    run.devices.push_back(std::move(device));
  }
  run.mount_flags = flags.texts("mount");
  for (const std::string& text : run.mount_flags) {
    ASSIGN_OR_RETURN(Mount mount, ParseMount(text, nullptr));
    run.mounts.push_back(std::move(mount));
  }
  if (flags.given("network")) run.network = flags.text("network");
  if (run.network != "default" && run.network != "none" && run.network != "host") {
    return UnknownError(StrCat("invalid network mode ", Quote(run.network)));
  }
  if (flags.given("security")) run.security = flags.text("security");
  if (run.security != "insecure" && run.security != "sandbox") {
    return UnknownError(StrCat("security ", Quote(run.security), " is not valid"));
  }
  return Parsed(Command(std::move(run)));
}

StatusOr<int64_t> Interval(const FlagSet& flags, std::string_view name) {
  const std::string& text = flags.text(name);
  if (text.empty()) return 0;
  ASSIGN_OR_RETURN(int64_t nanos, ParseDuration(text));
  if (nanos != 0 && nanos < 1'000'000) {
    return UnknownError(StrCat("Interval ", Quote(name), " cannot be less than 1ms"));
  }
  return nanos;
}

StatusOr<int> Retries(const std::string& text) {
  if (text.empty()) return 0;
  const std::string_view digits = text[0] == '+' ? std::string_view(text).substr(1) : text;
  const bool number =
      !digits.empty() &&
      digits.find_first_not_of("0123456789", digits[0] == '-') == std::string_view::npos &&
      digits != "-";
  int64_t value = 0;
  if (!number) {
    return UnknownError(StrCat("strconv.ParseInt: parsing ", Quote(text), ": invalid syntax"));
  }
  if (!ParseInt64(digits, &value) || value > INT32_MAX || value < INT32_MIN) {
    return UnknownError(StrCat("strconv.ParseInt: parsing ", Quote(text), ": value out of range"));
  }
  if (value < 0) return UnknownError(StrCat("--retries cannot be negative (", value, ")"));
  return static_cast<int>(value);
}

StatusOr<Parsed> ParseHealthcheck(const Node& node) {
  if (node.args.empty()) return AtLeastOne("HEALTHCHECK");
  auto check = Begin<HealthCheckCommand>(node);
  const std::string type = ToUpper(node.args[0]);
  const std::vector<std::string> args(node.args.begin() + 1, node.args.end());
  if (type == "NONE") {
    if (!args.empty()) return UnknownError("HEALTHCHECK NONE takes no arguments");
    check.health.test = {type};
    return Parsed(Command(std::move(check)));
  }
  FlagSet flags;
  for (const char* name : {"interval", "timeout", "start-period", "start-interval", "retries"}) {
    flags.Declare(name, Kind::kText);
  }
  RETURN_IF_ERROR(flags.Parse(node.flags));
  if (type != "CMD") {
    return UnknownError(StrCat("Unknown type ", Quote(type), " in HEALTHCHECK (try CMD)"));
  }
  check.health.test = CommandWords(args, node.json);
  if (check.health.test.empty()) return UnknownError("Missing command after HEALTHCHECK CMD");
  check.health.test.insert(check.health.test.begin(), node.json ? "CMD" : "CMD-SHELL");
  ASSIGN_OR_RETURN(check.health.interval, Interval(flags, "interval"));
  ASSIGN_OR_RETURN(check.health.timeout, Interval(flags, "timeout"));
  ASSIGN_OR_RETURN(check.health.start_period, Interval(flags, "start-period"));
  ASSIGN_OR_RETURN(check.health.start_interval, Interval(flags, "start-interval"));
  ASSIGN_OR_RETURN(check.health.retries, Retries(flags.text("retries")));
  return Parsed(Command(std::move(check)));
}

StatusOr<Parsed> ParseOnbuild(const Node& node) {
  if (node.args.empty()) return AtLeastOne("ONBUILD");
  RETURN_IF_ERROR(NoFlags(node));
  const std::string trigger = ToUpper(TrimUnicodeSpace(node.args[0]));
  if (trigger == "ONBUILD") {
    return UnknownError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (trigger == "MAINTAINER" || trigger == "FROM") {
    return UnknownError(StrCat(trigger, " isn't allowed as an ONBUILD trigger"));
  }
  auto onbuild = Begin<OnbuildCommand>(node);
  constexpr std::string_view kBlanks = "\t\n\f\r ";
  std::string_view rest = node.original;
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
  if (ToUpper(rest.substr(0, 7)) == "ONBUILD") {
    rest.remove_prefix(7);
    rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
  } else {
    rest = node.original;
  }
  onbuild.expression = rest;
  for (const Heredoc& heredoc : node.heredocs) {
    onbuild.expression += StrCat("\n", heredoc.content, heredoc.name);
  }
  return Parsed(Command(std::move(onbuild)));
}

// Instructions that take the line as one word.
template <typename T>
StatusOr<Parsed> ParseOneWord(const Node& node, std::string_view keyword, std::string T::*field,
                              bool check_flags = true) {
  if (node.args.size() != 1) return ExactlyOne(keyword);
  if (check_flags) RETURN_IF_ERROR(NoFlags(node));
  auto command = Begin<T>(node);
  command.*field = node.args[0];
  return Parsed(Command(std::move(command)));
}

StatusOr<Parsed> ParseEnv(const Node& node) {
  auto env = Begin<EnvCommand>(node);
  ASSIGN_OR_RETURN(env.env, ReadPairs(node, "ENV"));
  return Parsed(Command(std::move(env)));
}

StatusOr<Parsed> ParseLabel(const Node& node) {
  auto label = Begin<LabelCommand>(node);
  ASSIGN_OR_RETURN(label.labels, ReadPairs(node, "LABEL"));
  return Parsed(Command(std::move(label)));
}

StatusOr<Parsed> ParseExpose(const Node& node) {
  if (node.args.empty()) return AtLeastOne("EXPOSE");
  RETURN_IF_ERROR(NoFlags(node));
  auto expose = Begin<ExposeCommand>(node);
  expose.ports = node.args;
  std::sort(expose.ports.begin(), expose.ports.end());
  return Parsed(Command(std::move(expose)));
}

StatusOr<Parsed> ParseVolume(const Node& node) {
  if (node.args.empty()) return AtLeastOne("VOLUME");
  RETURN_IF_ERROR(NoFlags(node));
  auto volume = Begin<VolumeCommand>(node);
  for (const std::string& word : node.args) {
    const std::string_view path = TrimUnicodeSpace(word);
    if (path.empty()) return UnknownError("VOLUME specified can not be an empty string");
    volume.volumes.emplace_back(path);
  }
  return Parsed(Command(std::move(volume)));
}

StatusOr<Parsed> ParseShell(const Node& node) {
  RETURN_IF_ERROR(NoFlags(node));
  if (node.args.empty()) return AtLeastOne("SHELL");
  if (!node.json) return UnknownError("SHELL requires the arguments to be in JSON form");
  auto shell = Begin<ShellCommand>(node);
  shell.shell = node.args;
  return Parsed(Command(std::move(shell)));
}

bool IsStageName(std::string_view name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
             std::string_view::npos;
}

StatusOr<Parsed> ParseFrom(const Node& node) {
  Stage stage;
  if (node.args.size() == 3 && ToLower(node.args[1]) == "as") {
    stage.name = ToLower(node.args[2]);
    if (!IsStageName(stage.name)) {
      return UnknownError(StrCat("invalid name for build stage: ", Quote(node.args[2]),
                                 ", name can't start with a number or contain symbols"));
    }
  } else if (node.args.size() != 1) {
    return UnknownError("FROM requires either one or three arguments");
  }
  FlagSet flags;
  flags.Declare("platform", Kind::kText);
  RETURN_IF_ERROR(flags.Parse(node.flags));
  stage.base_name = node.args[0];
  stage.platform = flags.text("platform");
  stage.keyword = node.keyword;
  stage.code = TrimUnicodeSpace(node.original);
  stage.location = node.Location();
  stage.comments = node.comments;
  stage.doc_comment = DocComment(node.comments, stage.name);
  return Parsed(std::move(stage));
}

using ParseFunction = StatusOr<Parsed> (*)(const Node&);
struct Entry {
  std::string_view keyword;
  ParseFunction parse;
};
// Sorted, so that suggestions do not depend on anything else.
constexpr Entry kInstructions[] = {
    {"add", ParseAdd},
    {"arg", ParseArg},
    {"cmd", ParseCommandLine<CmdCommand>},
    {"copy", ParseCopy},
    {"entrypoint", ParseCommandLine<EntrypointCommand>},
    {"env", ParseEnv},
    {"expose", ParseExpose},
    {"from", ParseFrom},
    {"healthcheck", ParseHealthcheck},
    {"label", ParseLabel},
    {"maintainer",
     [](const Node& n) { return ParseOneWord(n, "MAINTAINER", &MaintainerCommand::maintainer); }},
    {"onbuild", ParseOnbuild},
    {"run", ParseRun},
    {"shell", ParseShell},
    // Flags of STOPSIGNAL are not looked at.
    {"stopsignal",
     [](const Node& n) {
       return ParseOneWord(n, "STOPSIGNAL", &StopSignalCommand::signal, false);
     }},
    {"user", [](const Node& n) { return ParseOneWord(n, "USER", &UserCommand::user); }},
    {"volume", ParseVolume},
    {"workdir", [](const Node& n) { return ParseOneWord(n, "WORKDIR", &WorkdirCommand::path); }},
};

Status UnknownInstruction(const std::string& keyword) {
  std::vector<std::string> names;
  for (const Entry& entry : kInstructions) names.push_back(ToUpper(entry.keyword));
  return WithSuggestion(UnknownError(StrCat("unknown instruction: ", keyword)), keyword, names,
                        false);
}

}  // namespace

StatusOr<std::variant<Command, Stage>> ParseInstruction(const Node& node, LintSink* lint) {
  const std::string keyword = ToLower(node.keyword);
  const auto entry = std::find_if(std::begin(kInstructions), std::end(kInstructions),
                                  [&](const Entry& known) { return known.keyword == keyword; });
  if (entry == std::end(kInstructions)) {
    return WithLocation(UnknownInstruction(node.keyword), node.Location());
  }
  if (lint != nullptr) LintBeforeParse(node, keyword, lint);
  StatusOr<Parsed> parsed = entry->parse(node);
  if (!parsed.ok()) return WithLocation(parsed.status(), node.Location());
  if (lint != nullptr) LintAfterParse(node, *parsed, lint);
  return parsed;
}

StatusOr<Command> ParseCommand(const Node& node) {
  ASSIGN_OR_RETURN(Parsed parsed, ParseInstruction(node));
  if (auto* command = std::get_if<Command>(&parsed)) return std::move(*command);
  return WithLocation(UnknownError("*instructions.Stage is not a command type"), node.Location());
}

StatusOr<Stages> ParseStages(const std::vector<Node>& nodes, LintSink* lint) {
  Stages out;
  for (const Node& node : nodes) {
    StatusOr<Parsed> parsed = ParseInstruction(node, lint);
    if (!parsed.ok()) {
      return Annotate(parsed.status(), StrCat("dockerfile parse error on line ", node.start_line));
    }
    if (auto* stage = std::get_if<Stage>(&*parsed)) {
      out.stages.push_back(std::move(*stage));
      continue;
    }
    Command& command = std::get<Command>(*parsed);
    if (!out.stages.empty()) {
      out.stages.back().commands.push_back(std::move(command));
    } else if (auto* arg = std::get_if<ArgCommand>(&command)) {
      out.meta_args.push_back(std::move(*arg));
    } else {
      return WithLocation(UnknownError("no build stage in current context"), node.Location());
    }
  }
  return out;
}

}  // namespace kiln::dockerfile
