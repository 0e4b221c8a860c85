#include "cache/remote/imported_graph.h"

#include <algorithm>
#include <set>

namespace kiln::cache {
namespace {

// The chain's identity: a digest over its blobs' digests.
std::string ResultId(const std::vector<Layer>& layers) {
  Sha256 hash;
  for (const Layer& layer : layers) hash.Update(layer.blob.digest.text());
  return hash.Finish().text();
}

bool IsPrefix(const std::vector<Layer>& part, const std::vector<Layer>& whole) {
  return part.size() <= whole.size() &&
         std::equal(part.begin(), part.end(), whole.begin(), [](const Layer& a, const Layer& b) {
           return a.blob.digest == b.blob.digest;
         });
}

// False if the manifest does not list the blob, or nothing tells its diff id.
bool LayerOf(const CacheDocument& document, int index, Layer* layer) {
  auto found = document.layers.find(document.config.layers[static_cast<size_t>(index)].blob);
  if (found == document.layers.end()) return false;
  layer->blob = found->second;
  const auto& notes = layer->blob.annotations;
  auto note = [&](std::string_view key) {
    auto entry = notes.find(std::string(key));
    return entry == notes.end() ? std::string() : entry->second;
  };
  if (std::string id = note(kUncompressedNote); !id.empty()) {
    StatusOr<Digest> digest = Digest::Parse(id);
    if (!digest.ok()) return false;
    layer->diff_id.digest = *digest;
  } else if (oci::CompressionOf(layer->blob.media_type) == oci::Compression::kUncompressed) {
    layer->diff_id.digest = layer->blob.digest;
  } else {
    return false;
  }
  if (StatusOr<Time> created = ParseRfc3339(note(kCreatedNote)); created.ok()) {
    layer->created = *created;
  }
  layer->description = note(kDescriptionNote);
  if (layer->description.empty()) {
    layer->description = StrCat("imported ", layer->blob.digest.text());
  }
  return true;
}

bool Collect(const CacheDocument& document, const std::vector<int>& indexes,
             std::vector<Layer>* layers) {
  for (int index : indexes) {
    Layer layer;
    if (!LayerOf(document, index, &layer)) return false;
    layers->push_back(std::move(layer));
  }
  return !layers->empty();
}

std::vector<int> ChainOf(const CacheConfig& config, int top) {
  std::vector<int> chain;
  for (int i = top; i != -1; i = config.layers[static_cast<size_t>(i)].parent) chain.push_back(i);
  std::reverse(chain.begin(), chain.end());
  return chain;
}

}  // namespace

Status ImportedGraph::Add(const CacheDocument& document, KeyIndex* keys) {
  const size_t base = nodes_.size();
  const auto& records = document.config.records;
  nodes_.resize(base + records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    Node& node = nodes_[base + i];
    node.key = records[i].inputs.empty() ? records[i].digest : StrCat("record:", base + i);
    auto add = [&](Time created, const std::vector<int>& indexes) -> Status {
      std::vector<Layer> layers;
      if (!Collect(document, indexes, &layers)) return OkStatus();
      std::string id = ResultId(layers);
      by_result_[id].push_back(base + i);
      node.results.emplace_back(created, std::move(layers));
      return keys->AddResult(node.key, {id, created});
    };
    for (const CacheConfig::Result& result : records[i].results) {
      RETURN_IF_ERROR(add(result.created, ChainOf(document.config, result.layer)));
    }
    for (const CacheConfig::Chain& chain : records[i].chains) {
      RETURN_IF_ERROR(add(chain.created, chain.layers));
    }
  }
  for (size_t i = 0; i < records.size(); ++i) {
    for (size_t input = 0; input < records[i].inputs.size(); ++input) {
      for (const CacheConfig::Input& alternative : records[i].inputs[input]) {
        size_t parent = base + static_cast<size_t>(alternative.link);
        KeyLink link;
        link.input = static_cast<int64_t>(input);
        link.digest = Digest::Trusted(records[i].digest);
        link.selector = Digest::Trusted(alternative.selector);
        nodes_[base + i].parents.push_back(parent);
        RETURN_IF_ERROR(keys->AddLink(nodes_[parent].key, link, nodes_[base + i].key));
      }
    }
  }
  return OkStatus();
}

StatusOr<std::vector<ImportedGraph::Found>> ImportedGraph::Results(
    std::string_view result_id) const {
  auto holders = by_result_.find(result_id);
  if (holders == by_result_.end()) return NotFoundError("not found");
  std::vector<Found> found;
  const std::vector<Layer>* whole = nullptr;
  std::set<size_t> visited;
  std::vector<size_t> open(holders->second.rbegin(), holders->second.rend());
  while (!open.empty()) {
    size_t index = open.back();
    open.pop_back();
    if (!visited.insert(index).second) continue;
    const Node& node = nodes_[index];
    for (const auto& [created, layers] : node.results) {
      if (whole == nullptr && ResultId(layers) == result_id) whole = &layers;
      if (whole != nullptr && IsPrefix(layers, *whole)) {
        found.push_back({node.key, created, layers});
      }
    }
    open.insert(open.end(), node.parents.begin(), node.parents.end());
  }
  // The result asked for comes first, whatever else its record holds.
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.layers.size() > b.layers.size();
  });
  return found;
}

}  // namespace kiln::cache
