// Sources: states that come from outside of the build.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llb/state.h"

namespace kiln::llb {

enum class ResolveMode { kDefault, kForcePull, kPreferLocal };
std::string_view ResolveModeText(ResolveMode mode);  // "default", "pull", "local"

struct ImageOptions {
  ResolveMode resolve_mode = ResolveMode::kDefault;
  std::string record_type = {};  // what `du` calls it: "internal", "frontend"; "": regular
  Constraints constraints;
};
// `reference` is normalised already ("docker.io/library/alpine:latest").
State Image(std::string_view reference, ImageOptions options = {});

struct OciLayoutOptions {
  std::string session_id;
  std::string store_id;
  Constraints constraints;
};
State OciLayout(std::string_view reference, OciLayoutOptions options = {});

struct LocalOptions {
  std::string session_id;
  std::vector<std::string> include_patterns;
  std::vector<std::string> exclude_patterns;
  std::vector<std::string> follow_paths;
  std::string shared_key_hint;
  std::string differ;  // "none", "metadata" or empty
  bool differ_required = false;
  Constraints constraints;
};
State Local(std::string_view name, LocalOptions options = {});

struct HttpOptions {
  std::string filename;
  std::string checksum;  // digest
  int perm = 0;
  int uid = 0;
  int gid = 0;
  Constraints constraints;
};
State Http(std::string_view url, HttpOptions options = {});

struct GitOptions {
  std::string ref;
  std::string subdir;
  std::string checksum;
  std::string mtime;  // "", "checkout" or "commit"
  std::string known_ssh_hosts;
  std::string mount_ssh_sock;
  bool keep_git_dir = false;
  bool skip_submodules = false;
  bool fetch_by_commit = false;
  Constraints constraints;
};
State Git(std::string_view remote, GitOptions options = {});

// Any source op.
State Source(std::string identifier, std::map<std::string, std::string> attrs,
             Constraints constraints = {});

}  // namespace kiln::llb
