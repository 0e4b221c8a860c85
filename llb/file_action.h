// FileActions: changes of files without a process, done in order as one step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "llb/state.h"

namespace kiln::llb {

struct UserOpt {
  uint32_t id = 0;
  std::string name;  // wins over the id
};
struct ChownOpt {
  std::optional<UserOpt> user;
  std::optional<UserOpt> group;
};
// "user[:group]", names or numbers; "root" is 0.
ChownOpt ParseChown(std::string_view text);

struct ChmodOpt {
  int32_t mode = 0;
  std::string text;  // as for chmod(1); wins over the mode
};

struct Mkdir {
  std::string path;
  int32_t mode = 0755;
  bool make_parents = false;
  std::optional<ChownOpt> owner;
  Time created;
};
struct Mkfile {
  std::string path;
  int32_t mode = 0644;
  std::string data;
  std::optional<ChownOpt> owner;
  Time created;
};
struct Symlink {
  std::string old_path;
  std::string new_path;
  std::optional<ChownOpt> owner;
  Time created;
};
struct Rm {
  std::string path;
  bool allow_not_found = false;
  bool allow_wildcard = false;
};
struct Copy {
  State from;
  std::string src;
  std::string dest;
  std::optional<ChmodOpt> mode;
  std::optional<ChownOpt> owner;
  bool follow_symlinks = false;
  bool copy_dir_contents_only = false;
  bool attempt_unpack = false;
  bool create_dest_path = false;
  bool allow_wildcard = false;
  bool allow_empty_wildcard = false;
  bool always_replace_existing = false;
  std::vector<std::string> include_patterns;
  std::vector<std::string> exclude_patterns;
  std::vector<std::string> required_paths;
  Time created;
};

using FileAction = std::variant<Mkdir, Mkfile, Symlink, Rm, Copy>;

struct FileActions {
  FileActions() = default;
  FileActions(FileAction action) { actions.push_back(std::move(action)); }
  std::vector<FileAction> actions;
};

}  // namespace kiln::llb
