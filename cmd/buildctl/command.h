// Commands of buildctl: names, flags and texts as one tree; CLI11 reads the
// arguments, the tree prints the help.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace kiln::buildctl {

enum class Kind { kBool, kText, kList, kInt, kFloat, kDuration };

struct Flag {
  const char* name;
  Kind kind;
  const char* usage;
  std::string default_text = {};
  const char* alias = nullptr;  // one letter
};

// The flags and arguments of one call. Values are checked, so that the numbers parse.
class Invocation {
 public:
  bool Bool(const std::string& name) const { return !Text(name).empty(); }
  std::string Text(const std::string& name) const;
  std::vector<std::string> List(const std::string& name) const;
  int64_t Int(const std::string& name) const;
  double Float(const std::string& name) const;
  int64_t Nanos(const std::string& name) const;  // a duration
  const std::vector<std::string>& args() const { return args_; }

 private:
  friend class Parser;
  std::map<std::string, std::vector<std::string>> values_;  // defaults filled in
  std::vector<std::string> args_;
};

struct Command {
  std::string name;
  std::string alias = {};
  std::string usage = {};
  std::vector<Flag> flags = {};
  std::vector<Command> commands = {};
  bool hidden = false;
  std::string usage_text = {};
  std::function<Status(const Invocation&)> run = {};
};

// Runs what argv asks for and gives the exit status: 1 for usage errors and what
// `run` fails with (through `fail`), 3 for unknown commands.
int RunCommandLine(const Command& root, int argc, const char* const* argv,
                   const std::function<void(const Status&)>& fail);

}  // namespace kiln::buildctl
