// The frontend: reads the recipe that the client sent, has it built, returns it.
#include <cstdio>

#include "base/strings.h"
#include "examples/custom-frontend/daemon.h"
#include "examples/custom-frontend/recipe.h"
#include "llb/source.h"
#include "oci/reference.h"

namespace recipe {
namespace {

using kiln::Status;
using kiln::StatusOr;
using kiln::StrCat;
namespace llb = kiln::llb;
namespace oci = kiln::oci;

StatusOr<Dish> WithConfig(const llb::State& state, const std::string& config) {
  ASSIGN_OR_RETURN(llb::State with, state.WithImageConfig(config));
  ASSIGN_OR_RETURN(oci::Image image, oci::ParseImage(config));
  return Dish{std::move(with), std::move(image)};
}

// "oci-layout://store@digest": an image that lies on the client's disk.
StatusOr<Dish> FromLayout(Daemon& daemon, const std::string& name, std::string_view layout) {
  std::string_view store, digest;
  if (!kiln::StrCut(layout, "@", &store, &digest)) {
    return kiln::InvalidArgumentError(StrCat("no digest in oci-layout://", layout));
  }
  ASSIGN_OR_RETURN(oci::Reference reference, oci::ParseReference(name));
  ASSIGN_OR_RETURN(reference.digest, kiln::Digest::Parse(digest));
  llb::OciLayoutOptions options;
  options.session_id = daemon.session();
  options.store_id = store;
  ASSIGN_OR_RETURN(ResolvedImage image, daemon.Resolve(reference.Text(), options.store_id));
  return WithConfig(llb::OciLayout(reference.Text(), std::move(options)), image.config);
}

// A graph that came with the request, and the config that came with the graph.
StatusOr<Dish> FromInput(Daemon& daemon, const std::string& name) {
  ASSIGN_OR_RETURN(auto inputs, daemon.Inputs());
  auto input = inputs.find(name);
  if (input == inputs.end()) return kiln::NotFoundError(StrCat("no input for ", name));
  std::string config = daemon.Option(StrCat("input-metadata:", name));
  if (config.empty()) return Dish{input->second, {}};
  return WithConfig(input->second, config);
}

// A name is what the option context:NAME says, else an image of a registry.
StatusOr<Dish> FindBaseOf(Daemon& daemon, const std::string& name) {
  std::string context = daemon.Option(StrCat("context:", name));
  constexpr std::string_view kInput = "input:", kLayout = "oci-layout://";
  if (context.starts_with(kInput)) return FromInput(daemon, context.substr(kInput.size()));
  if (context.starts_with(kLayout)) {
    return FromLayout(daemon, name, std::string_view(context).substr(kLayout.size()));
  }
  ASSIGN_OR_RETURN(oci::Reference reference, oci::ParseReference(name));
  reference = oci::WithDefaultTag(std::move(reference));
  ASSIGN_OR_RETURN(ResolvedImage image, daemon.Resolve(reference.Text(), ""));
  ASSIGN_OR_RETURN(reference.digest, kiln::Digest::Parse(image.digest));
  return WithConfig(llb::Image(reference.Text()), image.config);
}

void SetPlatform(Dish* dish) {
  if (dish->image.platform.os.empty()) dish->image.platform = kiln::DefaultPlatform();
}

// The rest of a recipe is another one: this frontend runs once more for it.
StatusOr<Dish> GoOn(Daemon& daemon, const std::string& file, Dish so_far) {
  SetPlatform(&so_far);
  ASSIGN_OR_RETURN(Made made, daemon.Delegate(file, so_far.state, oci::ImageJson(so_far.image)));
  return WithConfig(made.state, made.config);
}

llb::State RecipeSource(const Daemon& daemon, const std::string& filename) {
  llb::LocalOptions options;
  options.session_id = daemon.session();
  options.follow_paths = {filename};
  options.shared_key_hint = "recipe";
  options.constraints.Named(StrCat("[recipe] read ", filename));
  return llb::Local("dockerfile", std::move(options));
}

Status Build(Daemon& daemon) {
  SourceText source;
  source.filename = daemon.Option("filename");
  if (source.filename.empty()) source.filename = "Dockerfile";
  llb::State reading = RecipeSource(daemon, source.filename);
  ASSIGN_OR_RETURN(std::string file, daemon.Solve(reading));
  ASSIGN_OR_RETURN(source.text, daemon.ReadFile(file, source.filename));
  ASSIGN_OR_RETURN(auto statements, Parse(source));
  llb::LocalOptions context;
  context.session_id = daemon.session();
  context.follow_paths = PathsOf(statements);
  context.shared_key_hint = "context";
  context.constraints.Named("[recipe] read the context");
  Kitchen kitchen;
  kitchen.find_base = [&](const std::string& name) { return FindBaseOf(daemon, name); };
  kitchen.go_on = [&](const std::string& next, const Dish& so_far) {
    return GoOn(daemon, next, so_far);
  };
  kitchen.warn = [&](int line, const std::string& text) {
    daemon.Warn(reading, source, line, text).IgnoreError();
  };
  ASSIGN_OR_RETURN(Dish dish,
                   Follow(source, statements, llb::Local("context", std::move(context)), kitchen));
  SetPlatform(&dish);
  ASSIGN_OR_RETURN(std::string ref, daemon.Solve(dish.state));
  return daemon.Return(ref, oci::ImageJson(dish.image));
}

Status Main() {
  ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon, Daemon::Connect());
  Status status = Build(*daemon);
  return status.ok() ? status : daemon->Fail(status);
}

}  // namespace
}  // namespace recipe

int main() {
  kiln::Status status = recipe::Main();
  if (status.ok()) return 0;
  std::fprintf(stderr, "recipe: %s\n", status.message().c_str());
  return 1;
}
