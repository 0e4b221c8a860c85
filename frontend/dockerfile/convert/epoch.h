// Epoch: the time that SOURCE_DATE_EPOCH asks for: a number, or that of the main
// context, of a named context, or of a stage that only fetches one remote source.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "frontend/dockerfile/instruction.h"
#include "llb/env_list.h"

namespace kiln::dockerfile {

class Client;
struct ShellLex;

struct Epoch {
  Time time;
  std::string text;  // RFC 3339, in the time zone of its origin
  int64_t seconds() const;
};

struct EpochContext {
  Client* client = nullptr;
  const std::vector<Stage>& stages;
  const std::map<std::string, std::string>& build_args;
  const llb::EnvList& global_args;
  const ShellLex& lex;
};

// No epoch for an empty value, or where the origin has no time.
StatusOr<std::optional<Epoch>> ResolveEpoch(const std::string& value, const EpochContext& context);

}  // namespace kiln::dockerfile
