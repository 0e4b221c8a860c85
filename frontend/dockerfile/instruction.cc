// What can be done with an instruction once variables are known.
#include "frontend/dockerfile/instruction.h"

#include "base/strings.h"

namespace kiln::dockerfile {

namespace {

// Expands the fields of one instruction; the first error wins.
class Expansion {
 public:
  explicit Expansion(const WordExpander& expand) : expand_(expand) {}

  Status operator()(AddCommand& c) {
    RETURN_IF_ERROR(Texts({&c.chown, &c.chmod, &c.checksum}));
    return Files(&c.files);
  }
  Status operator()(CopyCommand& c) {
    RETURN_IF_ERROR(Texts({&c.chown, &c.chmod}));
    return Files(&c.files);
  }
  Status operator()(ArgCommand& c) {
    for (ArgPair& pair : c.args) {
      RETURN_IF_ERROR(Text(&pair.key));
      if (pair.value.has_value()) RETURN_IF_ERROR(Text(&*pair.value));
    }
    return OkStatus();
  }
  Status operator()(EnvCommand& c) { return Pairs(&c.env); }
  Status operator()(LabelCommand& c) { return c.no_expand ? OkStatus() : Pairs(&c.labels); }
  Status operator()(RunCommand& c) {
    std::vector<Mount> mounts;
    for (const std::string& flag : c.mount_flags) {
      ASSIGN_OR_RETURN(Mount mount, ParseMount(flag, expand_));
      mounts.push_back(std::move(mount));
    }
    c.mounts = std::move(mounts);
    return OkStatus();
  }
  Status operator()(StopSignalCommand& c) { return Text(&c.signal); }
  Status operator()(UserCommand& c) { return Text(&c.user); }
  Status operator()(VolumeCommand& c) { return List(&c.volumes); }
  Status operator()(WorkdirCommand& c) { return Text(&c.path); }
  // The others hold nothing that is expanded at build time.
  Status operator()(CommandBase&) { return OkStatus(); }

 private:
  Status Text(std::string* text) {
    ASSIGN_OR_RETURN(*text, expand_(*text));
    return OkStatus();
  }
  Status Texts(std::initializer_list<std::string*> texts) {
    for (std::string* text : texts) RETURN_IF_ERROR(Text(text));
    return OkStatus();
  }
  Status List(std::vector<std::string>* texts) {
    for (std::string& text : *texts) RETURN_IF_ERROR(Text(&text));
    return OkStatus();
  }
  Status Pairs(std::vector<KeyValuePair>* pairs) {
    for (KeyValuePair& pair : *pairs) RETURN_IF_ERROR(Texts({&pair.key, &pair.value}));
    return OkStatus();
  }
  Status Files(SourcesAndDest* files) {
    RETURN_IF_ERROR(List(&files->source_paths));
    return Text(&files->dest_path);
  }
  const WordExpander& expand_;
};

Status ExpandContents(const WordExpander& expand, SourcesAndDest* files) {
  for (SourceContent& content : files->source_contents) {
    if (!content.expand) continue;
    ASSIGN_OR_RETURN(content.data, expand(content.data));
  }
  return OkStatus();
}

}  // namespace

int FindStage(const std::vector<Stage>& stages, std::string_view name) {
  const std::string wanted = ToLower(name);
  for (size_t i = 0; i < stages.size(); ++i) {
    if (ToLower(stages[i].name) == wanted) return static_cast<int>(i);
  }
  return -1;
}

Status Expand(Command* command, const WordExpander& expand) {
  return std::visit(Expansion(expand), *command);
}

Status ExpandRaw(Command* command, const WordExpander& expand) {
  if (auto* add = std::get_if<AddCommand>(command)) return ExpandContents(expand, &add->files);
  if (auto* copy = std::get_if<CopyCommand>(command)) return ExpandContents(expand, &copy->files);
  return OkStatus();
}

}  // namespace kiln::dockerfile
