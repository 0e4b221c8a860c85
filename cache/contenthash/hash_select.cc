// Digests of what wildcards and include/exclude patterns select from a tree.
#include <optional>

#include "base/file.h"
#include "base/glob.h"
#include "cache/contenthash/hash_tree.h"

namespace kiln::cache {
namespace {

bool HasWildcards(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '*' || name[i] == '?' || name[i] == '[') return true;
    if (name[i] == '\\') ++i;
  }
  return false;
}

// The part of the path before the first name with wildcards; whether there is more.
std::string PlainPrefix(const std::string& path, bool* more) {
  std::string plain = "/";
  *more = false;
  const std::string clean = CleanPath(path.empty() ? "/" : path);
  for (std::string_view part : StrSplit(clean, '/')) {
    if (HasWildcards(part)) {
      *more = true;
      break;
    }
    plain = JoinPath(plain, part);
  }
  return plain;
}

}  // namespace

// Names as the caller wrote them: `origin` is the prefix in those terms, `resolved`
// the same place with links followed.
struct HashTree::Selection {
  PatternList include;
  PatternList exclude;
  std::string origin;
  std::string resolved;
  std::string start;         // key of the first entry
  std::string last_matched;  // uppermost path that the wildcard matched
  std::vector<std::shared_ptr<Included>> parents;  // open folder headers
  std::vector<std::shared_ptr<Included>> kept;

  bool Keeps(const std::string& candidate, Included* entry) const {
    const Included* parent = parents.empty() ? nullptr : parents.back().get();
    static const std::vector<bool> kNone;
    if (!include.empty() &&
        !include.MatchesUsingParent(candidate, parent ? parent->include_matches : kNone,
                                    &entry->include_matches)) {
      return false;
    }
    return exclude.empty() ||
           !exclude.MatchesUsingParent(candidate, parent ? parent->exclude_matches : kNone,
                                       &entry->exclude_matches);
  }
};

// Where the walk starts; false if there is nothing there.
StatusOr<bool> HashTree::StartOf(const ChecksumOptions& options, const std::string& path,
                                 Selection* selection) {
  bool follow_last = false;
  selection->origin = path;
  if (options.wildcard) {
    selection->origin = PlainPrefix(path, &follow_last);
    if (selection->origin == "/") selection->origin.clear();
  }
  if (selection->origin.empty()) return !records_.empty();  // key "": the root
  ASSIGN_OR_RETURN(Found found, Follow(HashKeyOf(selection->origin), follow_last));
  selection->start = found.key;
  selection->resolved = HashPathOf(found.key);
  return found.record != nullptr;
}

// Handles one entry; false ends the walk.
StatusOr<bool> HashTree::Consider(const std::string& key, const ChecksumOptions& options,
                                  const std::string& path, bool ends_in_slash,
                                  Selection* selection) {
  std::string name = HashPathOf(key);
  if (name.starts_with(selection->resolved)) {
    name = selection->origin + name.substr(selection->resolved.size());
  }
  std::vector<std::shared_ptr<Included>>& parents = selection->parents;
  while (!parents.empty() && !name.starts_with(parents.back()->path + "/")) parents.pop_back();
  bool header = key.ends_with('\0');
  if (header) {
    name.pop_back();
    if (name == path && ends_in_slash) return true;  // "dir/" is its contents alone
  }
  auto entry = std::make_shared<Included>();
  entry->path = name;
  entry->key = key;
  entry->follow = parents.empty() && options.follow_links;
  std::string base = path;
  if (options.wildcard) {
    std::string& matched = selection->last_matched;
    if (!path.empty() && (matched.empty() || !name.starts_with(matched + "/"))) {
      ASSIGN_OR_RETURN(bool match, GlobMatch(path, name));
      if (!match) return true;
      matched = name;
    }
    base = matched;
  } else if (!StrCat(name, "/").starts_with(path + "/")) {
    return false;
  }
  std::string slashed = name + "/";
  std::string candidate(TrimSuffix(TrimPrefix(slashed, base + "/"), "/"));
  bool keeps = selection->Keeps(candidate, entry.get());
  // Contents of folders are not taken as a whole: something in them may be excluded.
  if (records_[key].type == HashRecord::Type::kDir) return true;
  if (keeps) {
    for (const std::shared_ptr<Included>& parent : parents) {
      if (!parent->included) selection->kept.push_back(parent);
      parent->included = true;
    }
    selection->kept.push_back(entry);
    entry->included = true;
  }
  if (header) parents.push_back(std::move(entry));
  return true;
}

Status HashTree::Select(const Tree& tree, std::string_view raw_path,
                        const ChecksumOptions& options, Selection* selection) {
  ASSIGN_OR_RETURN(bool scan, NeedsScan("", false));
  if (scan) RETURN_IF_ERROR(ScanPath(tree, "", false));
  auto compile = [](std::string_view what, const std::vector<std::string>& patterns,
                    PatternList* list) -> Status {
    if (patterns.empty()) return OkStatus();
    StatusOr<PatternList> compiled = PatternList::Compile(patterns);
    if (!compiled.ok()) {
      return Annotate(compiled.status(),
                      StrCat("invalid ", what, "patterns: [", StrJoin(patterns, " "), "]"));
    }
    *list = *std::move(compiled);
    return OkStatus();
  };
  RETURN_IF_ERROR(compile("include", options.include, &selection->include));
  RETURN_IF_ERROR(compile("exclude", options.exclude, &selection->exclude));
  bool ends_in_slash = raw_path.ends_with('/');
  std::string path = CleanPath(StrCat("/", raw_path));
  if (path == "/") path.clear();
  ASSIGN_OR_RETURN(bool any, StartOf(options, path, selection));
  std::string key = selection->start;
  auto next = selection->origin.empty() ? records_.upper_bound(key)
                                        : records_.lower_bound(key + '\0');
  while (any) {
    ASSIGN_OR_RETURN(bool more, Consider(key, options, path, ends_in_slash, selection));
    if (!more || next == records_.end()) break;
    key = (next++)->first;
  }
  for (const std::string& required : options.required) {
    bool found = false;
    for (const std::shared_ptr<Included>& entry : selection->kept) {
      found = found || entry->path.starts_with(required);
    }
    if (!found) return NotFoundError(StrCat(Quote(required), ": not found"));
  }
  return OkStatus();
}

std::vector<std::string> HashTree::SelectedKeys(const Tree& tree, std::string_view path,
                                                const ChecksumOptions& options) {
  Selection selection;
  std::vector<std::string> keys;
  if (!Select(tree, path, options, &selection).ok()) return keys;
  for (const std::shared_ptr<Included>& entry : selection.kept) keys.push_back(entry->key);
  return keys;
}

StatusOr<Digest> HashTree::Checksum(const Tree& tree, std::string_view path,
                                    const ChecksumOptions& options) {
  Settle();
  if (!options.wildcard && options.include.empty() && options.exclude.empty()) {
    return LazyChecksum(tree, path, options.follow_links);
  }
  Selection selection;
  RETURN_IF_ERROR(Select(tree, path, options, &selection));
  std::vector<Digest> digests;
  for (const std::shared_ptr<Included>& entry : selection.kept) {
    bool follow =
        entry->follow && records_[entry->key].type == HashRecord::Type::kSymlink;
    StatusOr<Digest> digest = follow ? LazyChecksum(tree, entry->path, true)
                                     : DigestOf(tree, entry->key, false);
    if (!digest.ok()) return digest.status();
    digests.push_back(*std::move(digest));
  }
  if (digests.empty()) return Digest::Of("");
  if (digests.size() == 1 && BaseName(path) == BaseName(selection.kept[0]->path)) {
    return digests[0];
  }
  Sha256 hash;
  for (size_t i = 0; i < digests.size(); ++i) {
    std::string key = HashKeyOf(TrimPrefix(selection.kept[i]->path, selection.origin));
    hash.Update(key.empty() ? std::string_view("\0", 1) : std::string_view(key));
    hash.Update(digests[i].text());
  }
  return hash.Finish();
}

}  // namespace kiln::cache
