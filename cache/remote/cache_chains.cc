#include "cache/remote/cache_chains.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace kiln::cache {

class CacheChains::Record {
 public:
  using Child = std::tuple<std::string, size_t, std::string>;  // selector, input index, digest

  std::string digest;
  std::map<Child, std::vector<Record*>> children;
  std::vector<std::vector<Link>> parents;
  std::vector<Result> results;
  bool joined = false;  // another record stands for it

  void AddResult(Result result) {
    for (const Result& known : results) {
      if (known.created == result.created &&
          known.remote.layers.size() == result.remote.layers.size()) {
        return;
      }
    }
    results.push_back(std::move(result));
  }
  // The newest one is exported.
  const Result* Best() const {
    auto best = std::max_element(
        results.begin(), results.end(),
        [](const Result& a, const Result& b) { return a.created < b.created; });
    return best == results.end() ? nullptr : &*best;
  }
  void AddParent(const Link& link, size_t index) {
    std::vector<Record*>& siblings = link.source->children[{link.selector, index, digest}];
    if (std::find(siblings.begin(), siblings.end(), this) != siblings.end()) return;
    siblings.push_back(this);
    if (parents.size() <= index) parents.resize(index + 1);
    parents[index].push_back(link);
  }
  void CollectDescendants(std::set<const Record*>* found) const {
    std::vector<const Record*> open{this};
    while (!open.empty()) {
      const Record* record = open.back();
      open.pop_back();
      if (!found->insert(record).second) continue;
      for (const auto& [child, records] : record->children) {
        open.insert(open.end(), records.begin(), records.end());
      }
    }
  }
};

CacheChains::CacheChains() = default;
CacheChains::~CacheChains() = default;

namespace {

using Record = CacheChains::Record;

// Records under which every input already has one of its alternatives.
std::vector<Record*> Matching(std::string_view digest,
                              const std::vector<std::vector<CacheChains::Link>>& inputs) {
  std::vector<Record*> matching;
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<Record*> candidates;
    for (const CacheChains::Link& link : inputs[i]) {
      auto found = link.source->children.find({link.selector, i, std::string(digest)});
      if (found != link.source->children.end()) {
        candidates.insert(candidates.end(), found->second.begin(), found->second.end());
      }
    }
    if (i == 0) {
      matching = std::move(candidates);
    } else {
      std::erase_if(matching, [&](Record* record) {
        return std::find(candidates.begin(), candidates.end(), record) == candidates.end();
      });
    }
    if (matching.empty()) break;
  }
  return matching;
}

// Two records turned out to be one: children and results of `other` go to `main`.
void Join(Record* main, Record* other) {
  for (auto& [key, records] : other->children) {
    std::vector<Record*>& into = main->children[key];
    for (Record* child : records) {
      if (std::find(into.begin(), into.end(), child) == into.end()) into.push_back(child);
      for (auto& links : child->parents) {
        for (CacheChains::Link& link : links) {
          if (link.source == other) link.source = main;
        }
      }
    }
  }
  other->children.clear();
  for (CacheChains::Result& result : other->results) main->AddResult(std::move(result));
  other->results.clear();
  other->joined = true;
}

}  // namespace

StatusOr<CacheChains::Record*> CacheChains::Add(std::string_view digest,
                                                std::vector<std::vector<Link>> inputs,
                                                std::vector<Result> results) {
  if (digest.starts_with("random:")) {
    return static_cast<Record*>(nullptr);
  }
  for (const auto& alternatives : inputs) {
    if (alternatives.empty()) {
      return InvalidArgumentError(StrCat("empty dependency for ", digest));
    }
  }
  Record* record = nullptr;
  if (inputs.empty()) {
    if (auto found = roots_.find(std::string(digest)); found != roots_.end()) {
      record = found->second;
    }
  } else if (std::vector<Record*> equal = Matching(digest, inputs); !equal.empty()) {
    record = equal[0];
    for (Record* other : equal) {
      if (other != record) Join(record, other);
    }
    std::set<const Record*> below;
    record->CollectDescendants(&below);
    for (auto& alternatives : inputs) {
      std::erase_if(alternatives, [&](const Link& link) { return below.contains(link.source); });
    }
  }
  if (record == nullptr) {
    records_.push_back(std::make_unique<Record>());
    record = records_.back().get();
    record->digest = std::string(digest);
    if (inputs.empty()) roots_[record->digest] = record;
  }
  for (Result& result : results) record->AddResult(std::move(result));
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const Link& link : inputs[i]) record->AddParent(link, i);
  }
  return record;
}

namespace {

// Numbers layers by their whole chain, so that an equal chain is stored once.
class LayerTable {
 public:
  explicit LayerTable(CacheChains::Marshalled* out) : out_(out) {}

  // Index of the top layer; -1 for a chain of nothing.
  int Add(const Remote& remote) {
    int parent = -1;
    for (const Layer& layer : remote.layers) {
      auto [place, fresh] = index_.try_emplace({parent, layer.blob.digest},
                                               static_cast<int>(out_->config.layers.size()));
      if (fresh) out_->config.layers.push_back({layer.blob.digest, parent, {}});
      out_->blobs.try_emplace(layer.blob.digest, layer, remote.source);
      parent = place->second;
    }
    return parent;
  }

 private:
  CacheChains::Marshalled* out_;
  std::map<std::pair<int, Digest>, int> index_;
};

// Writes records inputs first, whatever the order in which they were added or joined.
class Writer {
 public:
  Writer(CacheChains::Marshalled* out, const std::set<Digest>& lost)
      : out_(out), lost_(lost), layers_(out) {}

  void WriteWithInputs(const Record* start) {
    std::vector<std::pair<const Record*, bool>> stack{{start, false}};
    while (!stack.empty()) {
      auto [record, inputs_done] = stack.back();
      stack.pop_back();
      if (numbers_.contains(record)) continue;
      if (inputs_done) {
        Write(record);
      } else if (opened_.insert(record).second) {
        stack.emplace_back(record, true);
        for (const auto& links : record->parents) {
          for (const CacheChains::Link& link : links) stack.emplace_back(link.source, false);
        }
      }
    }
  }

 private:
  void Write(const Record* record) {
    CacheConfig::Record entry;
    entry.digest = record->digest;
    for (const auto& links : record->parents) {
      std::vector<CacheConfig::Input> alternatives;
      for (const CacheChains::Link& link : links) {
        alternatives.push_back({link.selector, numbers_.at(link.source)});
      }
      entry.inputs.push_back(std::move(alternatives));
    }
    if (const CacheChains::Result* best = record->Best(); best != nullptr && IsWhole(*best)) {
      int top = layers_.Add(best->remote);
      if (top >= 0) entry.results.push_back({top, best->created});
    }
    numbers_[record] = static_cast<int>(out_->config.records.size());
    out_->config.records.push_back(std::move(entry));
  }

  bool IsWhole(const CacheChains::Result& result) const {
    return std::none_of(result.remote.layers.begin(), result.remote.layers.end(),
                        [&](const Layer& layer) { return lost_.contains(layer.blob.digest); });
  }

  CacheChains::Marshalled* out_;
  const std::set<Digest>& lost_;
  LayerTable layers_;
  std::unordered_map<const Record*, int> numbers_;
  std::set<const Record*> opened_;
};

}  // namespace

CacheChains::Marshalled CacheChains::Marshal(const std::set<Digest>& lost) const {
  Marshalled out;
  Writer writer(&out, lost);
  for (const auto& record : records_) {
    if (!record->joined) writer.WriteWithInputs(record.get());
  }
  SortCacheConfig(&out.config);
  return out;
}

}  // namespace kiln::cache
