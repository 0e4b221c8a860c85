#include "worker/op/selectors.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "cache/contenthash/content_files.h"
#include "cache/contenthash/content_hash.h"

namespace kiln::worker {
namespace {

// Longer lists say little to people and cost much.
constexpr size_t kMostFiles = 20'000;

cache::ChecksumOptions OptionsOf(const Selector& selector) {
  return {.follow_links = selector.follow_links,
          .wildcard = selector.wildcard,
          .include = selector.include,
          .exclude = selector.exclude,
          .required = selector.required};
}

std::string FilesOf(const cache::Ref& input, const std::vector<Selector>& selectors) {
  std::vector<cache::FileMark> files;
  for (const Selector& selector : selectors) {
    std::vector<cache::FileMark> more =
        cache::ListFiles(input, CleanPath("/" + selector.path), OptionsOf(selector));
    files.insert(files.end(), more.begin(), more.end());
  }
  if (files.size() > kMostFiles) return "";
  std::sort(files.begin(), files.end(),
            [](const cache::FileMark& a, const cache::FileMark& b) { return a.path < b.path; });
  return cache::EncodeFiles(files);
}

}  // namespace


std::vector<std::string> DedupePaths(std::vector<std::string> paths) {
  if (paths.size() <= 1) {
    return paths;
  }
  const std::set<std::string> all(paths.begin(), paths.end());
  std::vector<std::string> kept;
  for (const std::string& path : all) {
    bool inside = std::any_of(all.begin(), all.end(), [&](const std::string& other) {
      return other != path && path.starts_with(other.ends_with('/') ? other : other + "/");
    });
    if (!inside) kept.push_back(path);
  }
  return kept;
}

std::vector<Selector> DedupeSelectors(const std::vector<Selector>& selectors) {
  std::vector<std::string> plain, followed;
  for (const Selector& selector : selectors) {
    if (!selector.filtered()) {
      (selector.follow_links ? followed : plain).push_back(selector.path);
    }
  }
  std::vector<Selector> out;
  for (std::string& path : DedupePaths(std::move(plain))) {
    out.push_back({.path = std::move(path)});
  }
  for (std::string& path : DedupePaths(std::move(followed))) {
    out.push_back({.path = std::move(path), .follow_links = true});
  }
  std::copy_if(selectors.begin(), selectors.end(), std::back_inserter(out),
               [](const Selector& selector) { return selector.filtered(); });
  std::stable_sort(out.begin(), out.end(),
                   [](const Selector& a, const Selector& b) { return a.path < b.path; });
  return out;
}

bool HasWildcards(std::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') {
      ++i;
    } else if (path[i] == '*' || path[i] == '?' || path[i] == '[') {
      return true;
    }
  }
  return false;
}

std::string JoinZero(const std::vector<std::string>& parts) {
  return StrJoin(parts, std::string_view("\0", 1));
}

solver::ContentDigestFn ContentDigestOf(std::vector<Selector> selectors, std::string worker_id) {
  if (selectors.empty()) {
    selectors.emplace_back();
  }
  return [selectors = std::move(selectors), worker = std::move(worker_id)](
             const cache::Ref& input, solver::JobContext& context) -> StatusOr<Digest> {
    std::vector<std::string> digests;
    for (const Selector& selector : selectors) {
      StatusOr<Digest> digest = cache::Checksum(input, CleanPath("/" + selector.path),
                                                OptionsOf(selector), context.stop());
      if (!digest.ok()) {
        return Annotate(digest.status(),
                        StrCat("failed to calculate checksum of ref ", worker, "::", input.id()));
      }
      digests.push_back(digest->text());
    }
    Digest content = Digest::Of(JoinZero(digests));
    context.NoteFiles(content, [&] { return FilesOf(input, selectors); });
    return content;
  };
}

Status ExtractInput(const cache::Ref& input, solver::JobContext& context) {
  return input.empty() ? OkStatus() : input.Extract(context.stop());
}

}  // namespace kiln::worker
