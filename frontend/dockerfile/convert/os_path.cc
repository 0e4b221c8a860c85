// On anything but Windows most of this does nothing.
#include "frontend/dockerfile/convert/os_path.h"

#include "base/file.h"
#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

std::string Clean(std::string_view path, std::string_view os, bool keep_slash) {
  const std::string slashed = ToSlash(path, os);
  std::string clean = CleanPath(slashed);
  if (keep_slash && clean.size() > 1 && slashed.ends_with("/")) clean += "/";
  return clean;
}

std::string KeepTrailing(std::string path, std::string_view original) {
  if (original.ends_with("/") && !path.ends_with("/")) return path + "/";
  if (original.ends_with("/.")) {
    if (path != "/") path += "/";
    path += ".";
  }
  return path;
}

}  // namespace

std::string DefaultPathEnv(std::string_view os) {
  if (os == "windows") {
    return "c:\\Windows\\System32;c:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0";
  }
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

std::string ToSlash(std::string_view path, std::string_view os) {
  return os == "windows" ? ReplaceAll(path, "\\", "/") : std::string(path);
}

StatusOr<std::string> RemoveDriveLetter(std::string_view path, std::string_view os,
                                        bool keep_slash) {
  if (os != "windows") return std::string(path);
  if (path.size() == 2 && path[1] == ':') {
    return UnknownError(StrCat("No relative path specified in ", Quote(path)));
  }
  if (path.size() >= 2 && ToSlash(path.substr(0, 2), os) == "//") {
    return UnknownError("UNC paths are not supported");
  }
  std::string_view drive, rest;
  if (!StrCut(path, ":", &drive, &rest)) return Clean(path, os, keep_slash);
  if (ToLower(drive) != "c") {
    return UnknownError("The specified path is not on the system drive (C:)");
  }
  return Clean(rest, os, keep_slash);
}

bool IsAbsoluteOsPath(std::string_view path, std::string_view os) {
  StatusOr<std::string> clean = RemoveDriveLetter(path, os, false);
  return clean.ok() && ToSlash(*clean, os).starts_with("/");
}

StatusOr<std::string> NormalizeOsPath(std::string_view parent, std::string_view path,
                                      std::string_view os, bool keep_slash) {
  const std::string original = ToSlash(path, os);
  std::string base = ToSlash(parent, os);
  if (base.empty()) base = "/";
  StatusOr<std::string> stripped = RemoveDriveLetter(base, os, keep_slash);
  if (!stripped.ok()) return Annotate(stripped.status(), "removing drive letter");
  base = *std::move(stripped);
  if (!IsAbsoluteOsPath(base, os)) base = CleanPath("/" + base);
  stripped = RemoveDriveLetter(original.empty() ? base : original, os, keep_slash);
  if (!stripped.ok()) return Annotate(stripped.status(), "removing drive letter");
  std::string result = *std::move(stripped);
  if (!IsAbsoluteOsPath(result, os)) result = CleanPath(StrCat(base, "/", result));
  if (keep_slash) result = KeepTrailing(std::move(result), original);
  return ToSlash(result, os);
}

StatusOr<std::string> NormalizeWorkdir(std::string_view current, std::string_view path,
                                       std::string_view os) {
  StatusOr<std::string> normal = NormalizeOsPath(current, path, os, false);
  if (!normal.ok()) return Annotate(normal.status(), "normalizing working directory");
  return os == "windows" ? ReplaceAll(*normal, "/", "\\") : *normal;
}

}  // namespace kiln::dockerfile
