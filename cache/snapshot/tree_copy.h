// Copying, merging and comparing trees on disk, everything kept: owners, modes,
// times, extended attributes, hard links, devices.
//
// A "change tree" is in overlay form: a 0/0 device hides what is below, a folder
// with the opaque attribute hides the one below. Not for untrusted paths outside
// the two roots: both are walked by descriptor, links are never followed.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <utility>

#include "base/status.h"

namespace kiln::cache {

// Copies all below `source` into the existing folder `target`, and its own metadata.
Status CopyTree(const std::string& source, const std::string& target);
// The same with hard links in place of copies where one file system holds both, for reading
// only, and without whiteouts:
// a change tree as what it leaves over nothing.
Status LinkTree(const std::string& source, const std::string& target);
StatusOr<bool> HasWhiteouts(const std::string& tree);
// Owner, mode, times and attributes of the top folder only.
Status CopyRootMetadata(const std::string& source, const std::string& target);
// Applies the change tree `changes` to the whole tree `target`.
Status ApplyChanges(const std::string& changes, const std::string& target);
// Writes into the empty folder `target` the change tree that leads from the
// whole tree `lower` ("" is an empty one) to the whole tree `upper`.
Status DiffTrees(const std::string& lower, const std::string& upper, const std::string& target);

// Building blocks. `name` is one component; both folders are open.
using LinkMap = std::map<std::pair<dev_t, ino_t>, std::string>;
// Makes `name` in `to` like `name` in `from` (of `st`): content, for a folder an
// empty one. Metadata is copied too. `links` maps inodes to paths under `to_root`.
struct CopyTarget {
  int root = -1;  // for hard links
  LinkMap links = {};
};
Status CopyOne(int from, const std::string& name, const struct stat& st, int to,
               const std::string& path, CopyTarget& target);
Status CopyMetadata(int from, const std::string& from_name, const struct stat& st, int to,
                    const std::string& to_name);
bool IsWhiteout(const struct stat& st);
// Whether the folder `name` carries the opaque attribute (trusted. or user.).
bool IsOpaque(int dir, const std::string& name);

}  // namespace kiln::cache
