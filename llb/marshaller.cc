// The walk that turns nodes into a definition: inputs before users, each op once,
// metadata of equal ops merged, the visit's order kept.
#include <utility>

#include "base/file.h"
#include "base/strings.h"
#include "llb/graph.h"
#include "llb/node.h"

namespace kiln::llb {
namespace {

void MergeMetadata(const pb::OpMetadata& from, pb::OpMetadata* into) {
  if (from.ignore_cache()) into->set_ignore_cache(true);
  for (const auto& [key, value] : from.description()) (*into->mutable_description())[key] = value;
  if (from.has_export_cache()) *into->mutable_export_cache() = from.export_cache();
  for (const auto& [cap, on] : from.caps()) (*into->mutable_caps())[cap] = true;
  if (from.has_progress_group()) *into->mutable_progress_group() = from.progress_group();
  if (from.has_linux_resources()) *into->mutable_linux_resources() = from.linux_resources();
}

void FillMetadata(const Constraints& own, pb::OpMetadata* metadata) {
  metadata->set_ignore_cache(own.ignore_cache);
  for (const auto& [key, value] : own.description) (*metadata->mutable_description())[key] = value;
  if (own.export_cache) metadata->mutable_export_cache()->set_value(*own.export_cache);
  for (const std::string& cap : own.caps) (*metadata->mutable_caps())[cap] = true;
  if (own.progress_group) {
    pb::ProgressGroup* group = metadata->mutable_progress_group();
    group->set_id(own.progress_group->id);
    group->set_name(own.progress_group->name);
    group->set_weak(own.progress_group->weak);
  }
  if (own.linux_resources) {
    pb::LinuxResources* resources = metadata->mutable_linux_resources();
    resources->set_memory(own.linux_resources->memory);
    resources->set_memoryswap(own.linux_resources->memory_swap);
    resources->set_cpushares(own.linux_resources->cpu_shares);
    resources->set_cpuperiod(own.linux_resources->cpu_period);
    resources->set_cpuquota(own.linux_resources->cpu_quota);
    resources->set_cpusetcpus(own.linux_resources->cpuset_cpus);
    resources->set_cpusetmems(own.linux_resources->cpuset_mems);
  }
}

bool SameText(const SourceMap& a, const SourceMap& b) {
  if (a.filename != b.filename || a.language != b.language || a.data != b.data) return false;
  if (a.definition == nullptr || b.definition == nullptr) return true;
  const int size = a.definition->def_size();
  if (size != b.definition->def_size()) return false;
  return size == 0 || a.definition->def(size - 1) == b.definition->def(size - 1);
}

}  // namespace

Output ResolveOutput(Output output) {
  while (output.node != nullptr) {
    std::optional<Output> target = output.node->Target();
    if (!target) break;
    output = *std::move(target);
  }
  return output;
}

bool SameInput(const pb::Input& a, const pb::Input& b) {
  return a.digest() == b.digest() && a.index() == b.index();
}

int64_t AddInput(const pb::Input& input, pb::Op* op) {
  for (int i = 0; i < op->inputs_size(); ++i) {
    if (SameInput(op->inputs(i), input)) return i;
  }
  *op->add_inputs() = input;
  return op->inputs_size() - 1;
}

void ReleaseOutputs(std::vector<Output> outputs) {
  while (!outputs.empty()) {
    std::shared_ptr<const Node> node = std::move(outputs.back().node);
    outputs.pop_back();
    // The last owner may take it apart: nobody else can look at it.
    if (node != nullptr && node.use_count() == 1) {
      const_cast<Node&>(*node).ReleaseInputs(&outputs);
    }
  }
}

Marshaller::Marshaller(const MarshalOptions& options) : options_(options) {
  if (!options_.platform) options_.platform = NormalizePlatform(DefaultPlatform());
  if (options_.local_unique_id.empty()) options_.local_unique_id = NewId();
}

Status Marshaller::Add(const Output& output) {
  struct Visit {
    const Node* node;
    std::vector<Output> inputs;
    size_t next = 0;
  };
  std::vector<Visit> stack;
  auto push = [&](const Output& wanted) {
    const Output resolved = ResolveOutput(wanted);
    const Node* node = resolved.node.get();
    if (node != nullptr && !digests_.contains(node)) stack.push_back({node, node->Inputs()});
  };
  push(output);
  while (!stack.empty()) {
    Visit& top = stack.back();
    if (top.next < top.inputs.size()) {
      push(Output(top.inputs[top.next++]));
      continue;
    }
    if (!digests_.contains(top.node)) RETURN_IF_ERROR(AddNode(top.node));
    stack.pop_back();
  }
  return OkStatus();
}

Status Marshaller::AddNode(const Node* node) {
  ASSIGN_OR_RETURN(MarshalledNode marshalled, node->Marshal(*this));
  const std::string digest = Digest::Of(marshalled.bytes).text();
  digests_.emplace(node, digest);
  MergeMetadata(marshalled.metadata, &(*definition_.mutable_metadata())[digest]);
  AddLocations(digest, marshalled.locations);
  if (written_.insert(digest).second) definition_.add_def(std::move(marshalled.bytes));
  return OkStatus();
}

void Marshaller::AddLocations(const std::string& digest,
                              const std::vector<SourceLocation>& locations) {
  pb::Locations& places = (*definition_.mutable_source()->mutable_locations())[digest];
  for (const SourceLocation& location : locations) {
    auto found = map_index_.find(location.map.get());
    if (found == map_index_.end()) {
      int index = 0;
      const int count = static_cast<int>(maps_.size());
      while (index < count && !SameText(*maps_[static_cast<size_t>(index)], *location.map)) ++index;
      if (index == count) maps_.push_back(location.map);
      found = map_index_.emplace(location.map.get(), index).first;
    }
    pb::Location* place = places.add_locations();
    place->set_sourceindex(found->second);
    for (const LineRange& range : location.ranges) {
      pb::Range* added = place->add_ranges();
      added->mutable_start()->set_line(range.start_line);
      added->mutable_start()->set_character(range.start_character);
      added->mutable_end()->set_line(range.end_line);
      added->mutable_end()->set_character(range.end_character);
    }
  }
}

void Marshaller::WriteSources() {
  for (const auto& map : maps_) {
    pb::SourceInfo* info = definition_.mutable_source()->add_infos();
    info->set_filename(map->filename);
    info->set_language(map->language);
    info->set_data(map->data);
    if (map->definition != nullptr) *info->mutable_definition() = *map->definition;
  }
}

StatusOr<pb::Input> Marshaller::ToInput(const Output& output) const {
  const Output resolved = ResolveOutput(output);
  auto found = digests_.find(resolved.node.get());
  if (found == digests_.end()) return InternalError("input of an op was not marshalled");
  ASSIGN_OR_RETURN(const int64_t index, resolved.node->IndexOf(resolved.slot));
  pb::Input input;
  input.set_digest(found->second);
  input.set_index(index);
  return input;
}

pb::Op Marshaller::NewOp(const Constraints& own, pb::OpMetadata* metadata) const {
  const Platform& platform = own.platform ? *own.platform : *options_.platform;
  pb::Op op;
  op.mutable_platform()->set_os(platform.os);
  op.mutable_platform()->set_architecture(platform.architecture);
  op.mutable_platform()->set_variant(platform.variant);
  op.mutable_platform()->set_osversion(platform.os_version);
  for (const std::string& feature : platform.os_features) {
    op.mutable_platform()->add_osfeatures(feature);
  }
  op.mutable_constraints();
  FillMetadata(own, metadata);
  return op;
}

StatusOr<pb::Definition> Marshaller::Finish(const Output& output) {
  pb::Op last;
  ASSIGN_OR_RETURN(*last.add_inputs(), ToInput(output));
  std::string bytes = MarshalDeterministic(last);
  pb::OpMetadata& metadata = (*definition_.mutable_metadata())[Digest::Of(bytes).text()];
  definition_.add_def(std::move(bytes));
  auto& caps = *metadata.mutable_caps();
  caps[std::string(kCapConstraints)] = true;
  caps[std::string(kCapPlatform)] = true;
  for (const auto& [digest, step] : definition_.metadata()) {
    if (step.ignore_cache()) caps[std::string(kCapMetaIgnoreCache)] = true;
    if (step.description_size() > 0) caps[std::string(kCapMetaDescription)] = true;
    if (step.has_export_cache()) caps[std::string(kCapMetaExportCache)] = true;
  }
  definition_.mutable_source();
  WriteSources();
  return std::move(definition_);
}

}  // namespace kiln::llb
