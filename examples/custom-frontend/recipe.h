// Recipes: the little language of this example, and what it means as a build.
//
//   from NAME          start with an image, a named context, or scratch
//   add SOURCE DEST    a file or folder of the context
//   env NAME=VALUE     for the steps that follow and for the image
//   run COMMAND        a step, by /bin/sh -c
//   cmd COMMAND        what the image runs, by /bin/sh -c
//   then FILE          go on with another recipe; there `from so-far` is what has been made
//
// Lines that begin with # are comments. Nothing here talks to a daemon.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "llb/state.h"
#include "oci/image_config.h"

namespace recipe {

// Where a recipe was read from; errors and steps point into it.
struct SourceText {
  std::string filename;
  std::string text;
};

struct Statement {
  int line = 0;  // from 1
  std::string word;
  std::string rest;
};

// INVALID_ARGUMENT, with the line as a detail that clients show.
kiln::StatusOr<std::vector<Statement>> Parse(const SourceText& source);

// A file system, and the config of the image that it came from or becomes.
struct Dish {
  kiln::llb::State state;
  kiln::oci::Image image;
};
// What following a recipe needs of the outside.
struct Kitchen {
  std::function<kiln::StatusOr<Dish>(const std::string& name)> find_base;
  std::function<kiln::StatusOr<Dish>(const std::string& file, const Dish& so_far)> go_on;
  // About a line that is no mistake but is not what its author wants either.
  std::function<void(int line, const std::string& text)> warn = [](int, const std::string&) {};
};

// The definition is only put together: nothing runs. `context` holds the client's files.
kiln::StatusOr<Dish> Follow(const SourceText& source, const std::vector<Statement>& statements,
                            const kiln::llb::State& context, const Kitchen& kitchen);

// What `add` takes of the context, so that nothing else is sent.
std::vector<std::string> PathsOf(const std::vector<Statement>& statements);

}  // namespace recipe
