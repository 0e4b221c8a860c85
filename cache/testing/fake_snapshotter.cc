// <root>/<id>/{fs,work,info}; `info` has name, parent, "committed" or "", and labels, a line each.
#include "cache/testing/fake_snapshotter.h"

#include "base/file.h"
#include "base/strings.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {

Status FakeSnapshotter::Here() const {
  return away_ ? UnavailableError("the snapshotter is away") : OkStatus();
}

StatusOr<std::vector<FakeSnapshotter::Entry>> FakeSnapshotter::All() const {
  RETURN_IF_ERROR(Here());
  RETURN_IF_ERROR(MakeDirs(root_));
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListDir(root_));
  std::vector<Entry> all;
  for (const std::string& name : names) {
    StatusOr<std::string> text = ReadFile(JoinPath(root_, name) + "/info");
    if (!text.ok()) continue;  // its maker was killed
    std::vector<std::string_view> lines = StrSplit(*text, '\n');
    Entry entry{JoinPath(root_, name), {}};
    entry.info.name = lines.at(0);
    entry.info.parent = lines.at(1);
    entry.info.committed = lines.at(2) == "committed";
    for (size_t i = 3; i + 1 < lines.size(); i += 2) {
      entry.info.labels.emplace(lines[i], lines[i + 1]);
    }
    all.push_back(std::move(entry));
  }
  return all;
}

StatusOr<FakeSnapshotter::Entry> FakeSnapshotter::Find(const std::string& key) const {
  ASSIGN_OR_RETURN(std::vector<Entry> all, All());
  for (Entry& entry : all) {
    if (entry.info.name == key) return std::move(entry);
  }
  return NotFoundError(StrCat("snapshot ", key, " does not exist: not found"));
}

Status FakeSnapshotter::Save(const Entry& entry) const {
  std::string text = StrCat(entry.info.name, "\n", entry.info.parent, "\n",
                            entry.info.committed ? "committed" : "");
  for (const auto& [key, value] : entry.info.labels) text += StrCat("\n", key, "\n", value);
  return WriteFileAtomic(entry.dir + "/info", text);
}

StatusOr<std::vector<Mount>> FakeSnapshotter::MountsOf(const Entry& entry) const {
  std::vector<std::string> lowers;
  ASSIGN_OR_RETURN(std::vector<Entry> all, All());
  std::map<std::string, const Entry*> by_name;
  for (const Entry& one : all) by_name[one.info.name] = &one;
  for (std::string parent = entry.info.parent; !parent.empty();) {
    auto below = by_name.find(parent);
    if (below == by_name.end()) return NotFoundError(StrCat(parent, " does not exist: not found"));
    lowers.push_back(below->second->dir + "/fs");
    parent = below->second->info.parent;
  }
  if (!overlay_ || lowers.empty()) return std::vector<Mount>{{"bind", entry.dir + "/fs", {"rbind", "rw"}}};
  return std::vector<Mount>{{"overlay", "overlay",
                             {StrCat("workdir=", entry.dir, "/work"),
                              StrCat("upperdir=", entry.dir, "/fs"),
                              StrCat("lowerdir=", StrJoin(lowers, ":"))}}};
}

StatusOr<std::vector<Mount>> FakeSnapshotter::Make(const std::string& key,
                                                   const std::string& parent) {
  if (Find(key).ok()) return AlreadyExistsError(StrCat("snapshot ", key, ": already exists"));
  // Its folder has the name that it will be committed under.
  Entry entry{JoinPath(root_, TrimSuffix(key, "-active")), {key, parent, false, {}}};
  if (!parent.empty()) {
    ASSIGN_OR_RETURN(Entry below, Find(parent));
    if (!below.info.committed) return NotFoundError(StrCat("parent ", parent, " is not committed"));
  }
  RETURN_IF_ERROR(RemoveAll(entry.dir));  // what another one left
  RETURN_IF_ERROR(MakeDirs(entry.dir + "/fs", 0755));
  if (overlay_) RETURN_IF_ERROR(MakeDirs(entry.dir + "/work"));
  if (!overlay_ && !parent.empty()) {
    RETURN_IF_ERROR(CopyTree(Find(parent)->dir + "/fs", entry.dir + "/fs"));
  }
  RETURN_IF_ERROR(Save(entry));
  return MountsOf(entry);
}

StatusOr<std::vector<Mount>> FakeSnapshotter::Prepare(const std::string& key,
                                                      const std::string& parent) {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Here());
  return Make(key, parent);
}

StatusOr<std::vector<Mount>> FakeSnapshotter::View(const std::string& key,
                                                   const std::string& parent) {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Make(key, parent).status());
  ASSIGN_OR_RETURN(Entry below, Find(parent));
  if (below.info.parent.empty() || !overlay_) {
    return std::vector<Mount>{{"bind", below.dir + "/fs", {"rbind", "ro"}}};
  }
  ASSIGN_OR_RETURN(std::vector<Mount> mounts, MountsOf(Find(key).value()));
  std::erase_if(mounts[0].options, [](const std::string& option) {
    return !option.starts_with("lowerdir=");
  });
  return mounts;
}

StatusOr<std::vector<Mount>> FakeSnapshotter::Mounts(const std::string& key) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Entry entry, Find(key));
  return MountsOf(entry);
}

Status FakeSnapshotter::Commit(const std::string& name, const std::string& key,
                               const std::map<std::string, std::string>& labels) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Entry entry, Find(key));
  if (Find(name).ok()) return AlreadyExistsError(StrCat("snapshot ", name, ": already exists"));
  if (entry.info.committed) return FailedPreconditionError(StrCat(key, " is committed"));
  entry.info.name = name;
  entry.info.committed = true;
  entry.info.labels = labels;
  return Save(entry);
}

Status FakeSnapshotter::Remove(const std::string& key) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(std::vector<Entry> all, All());
  for (const Entry& entry : all) {
    if (entry.info.parent == key) {
      return FailedPreconditionError("cannot remove snapshot with child: failed precondition");
    }
  }
  for (const Entry& entry : all) {
    if (entry.info.name == key) return RemoveAll(entry.dir);
  }
  return OkStatus();
}

StatusOr<Snapshotter::Info> FakeSnapshotter::Stat(const std::string& key) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Entry entry, Find(key));
  return entry.info;
}

StatusOr<std::vector<Snapshotter::Info>> FakeSnapshotter::Walk() {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(std::vector<Entry> all, All());
  std::vector<Info> found;
  for (Entry& entry : all) found.push_back(std::move(entry.info));
  return found;
}

}  // namespace kiln::cache
