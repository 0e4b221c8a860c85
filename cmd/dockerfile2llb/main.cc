// dockerfile2llb: shows what the Dockerfile frontend makes of a file.
#include <CLI/CLI.hpp>
#include <iostream>

#include "base/file.h"
#include "base/strings.h"
#include "cmd/dockerfile2llb/compile.h"

namespace kiln::dockerfile2llb {
namespace {

struct Flags {
  std::vector<std::string> files;
  std::vector<std::string> opts;
  std::vector<std::string> locals;
  std::vector<std::string> platforms;
  std::string session = "dockerfile2llb";
  std::string images = "any";
  bool json = false;
};

StatusOr<std::map<std::string, std::string>> Pairs(const std::vector<std::string>& texts,
                                                   std::string_view flag) {
  std::map<std::string, std::string> pairs;
  for (const std::string& text : texts) {
    std::string_view key, value;
    if (!StrCut(text, "=", &key, &value)) {
      return InvalidArgumentError(StrCat(flag, " ", text, ": expected NAME=VALUE"));
    }
    pairs[std::string(key)] = value;
  }
  return pairs;
}

StatusOr<Settings> ReadSettings(const Flags& flags) {
  Settings settings;
  settings.session = flags.session;
  ASSIGN_OR_RETURN(settings.opts, Pairs(flags.opts, "--opt"));
  ASSIGN_OR_RETURN(settings.locals, Pairs(flags.locals, "--local"));
  for (const std::string& text : flags.platforms) {
    ASSIGN_OR_RETURN(const Platform platform, ParsePlatform(text));
    settings.worker_platforms.push_back(NormalizePlatform(platform));
  }
  if (settings.worker_platforms.empty()) settings.worker_platforms = {DefaultPlatform()};
  settings.images = dockerfile::ImageCatalog::Any();
  if (flags.images != "any") {
    ASSIGN_OR_RETURN(const std::string json, ReadFile(flags.images));
    ASSIGN_OR_RETURN(settings.images, dockerfile::ImageCatalog::FromJson(json));
  }
  return settings;
}

// Prints one file; whether it compiled.
bool Show(const std::string& file, const Settings& settings, bool json) {
  const Compiled compiled = Compile(file, settings);
  std::cout << (json ? JsonLine(file, compiled) + "\n" : Report(file, compiled));
  return compiled.status.ok();
}

int Run(const Flags& flags) {
  StatusOr<Settings> settings = ReadSettings(flags);
  if (!settings.ok()) {
    std::cerr << "dockerfile2llb: " << settings.status().message() << "\n";
    return 2;
  }
  bool all_compiled = true;
  for (const std::string& file : flags.files) {
    all_compiled = Show(file, *settings, flags.json) && all_compiled;
  }
  if (!flags.files.empty()) return all_compiled ? 0 : 1;
  std::string file;
  while (std::getline(std::cin, file)) {
    if (!file.empty()) Show(file, *settings, flags.json);
  }
  return 0;
}

}  // namespace
}  // namespace kiln::dockerfile2llb

int main(int argc, char** argv) {
  kiln::dockerfile2llb::Flags flags;
  CLI::App app("Compiles Dockerfiles without a daemon and shows the result. Without file arguments "
               "it reads file names from stdin, one a line.");
  app.add_option("files", flags.files, "Dockerfiles");
  app.add_option("--opt", flags.opts, "frontend attribute K=V")->allow_extra_args(false);
  app.add_option("--session", flags.session, "session id");
  app.add_option("--worker-platform", flags.platforms, "platform of the worker")
      ->allow_extra_args(false);
  app.add_option("--images", flags.images, "JSON file that lists images, or \"any\"");
  app.add_option("--local", flags.locals, "local directory NAME=DIR, for its ignore files")
      ->allow_extra_args(false);
  app.add_flag("--json", flags.json, "one JSON object a line");
  CLI11_PARSE(app, argc, argv);
  return kiln::dockerfile2llb::Run(flags);
}
