// The Dockerfile's instructions as typed values: every instruction, flag and
// mount option of the language. Variables are not expanded yet, except where a
// caller asks for it with Expand. How to run them is the converter's business.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/mount.h"
#include "frontend/dockerfile/source_range.h"

namespace kiln::dockerfile {

// What all instructions have.
struct CommandBase {
  std::string name;  // keyword as written
  std::string code;  // the logical line, trimmed
  std::vector<Range> location;
  std::vector<std::string> comments;  // comment block right above
};

struct KeyValuePair {
  std::string key;
  std::string value;
  bool no_delim = false;  // old form: ENV name value
};

struct ArgPair {
  std::string key;
  std::optional<std::string> value;
  std::string doc_comment;
};

struct SourceContent {  // heredoc as a source of COPY or ADD
  std::string path;
  std::string data;
  bool expand = true;
};

struct SourcesAndDest {
  std::string dest_path;
  std::vector<std::string> source_paths;
  std::vector<SourceContent> source_contents;
};

struct ShellInlineFile {  // heredoc of RUN
  std::string name;
  std::string data;
  bool chomp = false;
};

// `prepend_shell`: shell form, one word that the stage's shell gets.
struct CommandLine {
  std::vector<std::string> args;
  std::vector<ShellInlineFile> files;
  bool prepend_shell = false;
};

struct Healthcheck {
  std::vector<std::string> test;  // {"NONE"}, {"CMD", …} or {"CMD-SHELL", text}
  int64_t interval = 0;           // nanoseconds, 0: inherited
  int64_t timeout = 0;
  int64_t start_period = 0;
  int64_t start_interval = 0;
  int retries = 0;
};

struct AddCommand : CommandBase {
  SourcesAndDest files;
  std::string chown;
  std::string chmod;
  bool link = false;
  std::vector<std::string> exclude_patterns;
  std::optional<bool> keep_git_dir;
  std::string checksum;
  std::optional<bool> unpack;
};
struct ArgCommand : CommandBase {
  std::vector<ArgPair> args;
};
struct CmdCommand : CommandBase {
  CommandLine line;
};
struct CopyCommand : CommandBase {
  SourcesAndDest files;
  std::string from;
  std::string chown;
  std::string chmod;
  bool link = false;
  std::vector<std::string> exclude_patterns;
  bool parents = false;
};
struct EntrypointCommand : CommandBase {
  CommandLine line;
};
struct EnvCommand : CommandBase {
  std::vector<KeyValuePair> env;
};
struct ExposeCommand : CommandBase {
  std::vector<std::string> ports;  // sorted
};
struct HealthCheckCommand : CommandBase {
  Healthcheck health;
};
struct LabelCommand : CommandBase {
  std::vector<KeyValuePair> labels;
  bool no_expand = false;  // set for labels that come from outside the Dockerfile
};
struct MaintainerCommand : CommandBase {
  std::string maintainer;
};
struct OnbuildCommand : CommandBase {
  std::string expression;  // the inner instruction, heredocs included
};
struct RunCommand : CommandBase {
  CommandLine line;
  std::vector<std::string> flags_used;   // names, in order of first use
  std::vector<std::string> mount_flags;  // texts of --mount; Expand reads them again
  // Until Expand only `from` is set; see ParseMount.
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  std::string network = "default";   // default, none, host
  std::string security = "sandbox";  // sandbox, insecure
};
struct ShellCommand : CommandBase {
  std::vector<std::string> shell;
};
struct StopSignalCommand : CommandBase {
  std::string signal;
};
struct UserCommand : CommandBase {
  std::string user;
};
struct VolumeCommand : CommandBase {
  std::vector<std::string> volumes;
};
struct WorkdirCommand : CommandBase {
  std::string path;
};

using Command = std::variant<AddCommand, ArgCommand, CmdCommand, CopyCommand, EntrypointCommand,
                             EnvCommand, ExposeCommand, HealthCheckCommand, LabelCommand,
                             MaintainerCommand, OnbuildCommand, RunCommand, ShellCommand,
                             StopSignalCommand, UserCommand, VolumeCommand, WorkdirCommand>;

inline const CommandBase& BaseOf(const Command& command) {
  return std::visit([](const auto& c) -> const CommandBase& { return c; }, command);
}

// FROM and what follows it.
struct Stage {
  std::string name;  // lower case; empty without AS
  std::string base_name;
  std::string platform;  // text of --platform
  std::vector<Command> commands;
  std::string keyword;  // FROM as written
  std::string code;     // the FROM line, trimmed
  std::string doc_comment;
  std::vector<Range> location;
  std::vector<std::string> comments;
};

// Index of the stage of that name (case does not matter), or -1.
int FindStage(const std::vector<Stage>& stages, std::string_view name);

// Expands the variables of every word that may hold some, in place: COPY's paths,
// ENV's names and values, RUN's mounts … ARG too. First error wins.
Status Expand(Command* command, const WordExpander& expand);
// Expands heredoc bodies of COPY and ADD.
Status ExpandRaw(Command* command, const WordExpander& expand);

}  // namespace kiln::dockerfile
