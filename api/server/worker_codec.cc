// Plain structs to messages; see worker_codec.h.
#include "api/server/worker_codec.h"

#include "api/proto/control.pb.h"
#include "api/proto/worker.pb.h"
#include "api/server/progress_codec.h"
#include "base/filter.h"
#include "base/strings.h"
#include "worker/cdi/cdi_devices.h"

namespace kiln::api {

namespace wire = moby::buildkit::v1;

void FillPlatform(const Platform& platform, pb::Platform* out) {
  out->set_os(platform.os);
  out->set_architecture(platform.architecture);
  out->set_variant(platform.variant);
  out->set_osversion(platform.os_version);
  for (const std::string& feature : platform.os_features) out->add_osfeatures(feature);
}

Platform FromPlatform(const pb::Platform& platform) {
  return {platform.os(),
          platform.architecture(),
          platform.variant(),
          platform.osversion(),
          {platform.osfeatures().begin(), platform.osfeatures().end()}};
}

void FillVersion(const Version& version, wire::types::BuildkitVersion* out) {
  out->set_package(version.package);
  out->set_version(version.version);
  out->set_revision(version.revision);
  out->set_dockerfileversion(version.dockerfile_version);
}

void FillWorker(const WorkerFacts& worker, const Version& version, wire::types::WorkerRecord* out) {
  out->set_id(worker.id);
  out->mutable_labels()->insert(worker.labels.begin(), worker.labels.end());
  for (const Platform& platform : worker.platforms) FillPlatform(platform, out->add_platforms());
  for (const cache::PruneOptions& rule : worker.gc_policy) {
    wire::types::GCPolicy* policy = out->add_gcpolicy();
    policy->set_all(rule.all);
    policy->set_keepduration(rule.keep_duration_nanos);
    for (const std::string& filter : rule.filters) policy->add_filters(filter);
    policy->set_reservedspace(rule.reserved_bytes);
    policy->set_maxusedspace(rule.max_used_bytes);
    policy->set_minfreespace(rule.min_free_bytes);
  }
  FillVersion(version, out->mutable_buildkitversion());
}

void FillDevices(const worker::cdi::CdiDevices& devices, wire::types::WorkerRecord* out) {
  for (const worker::cdi::Device& device : devices.List()) {
    wire::types::CDIDevice* added = out->add_cdidevices();
    added->set_name(device.name);
    added->set_autoallow(device.auto_allow);
    added->mutable_annotations()->insert(device.annotations.begin(), device.annotations.end());
  }
}

void FillUsage(const cache::UsageRecord& record, wire::UsageRecord* out) {
  out->set_id(record.id);
  out->set_mutable_(record.is_mutable);
  out->set_inuse(record.in_use);
  out->set_size(record.size);
  for (const std::string& parent : record.parents) out->add_parents(parent);
  if (record.created.set()) SetTimestamp(record.created, out->mutable_createdat());
  if (record.last_used.set()) SetTimestamp(record.last_used, out->mutable_lastusedat());
  out->set_usagecount(record.usage_count);
  out->set_description(record.description);
  out->set_recordtype(std::string(cache::RecordTypeText(record.type)));
  out->set_shared(record.shared);
}

bool OldEnough(const cache::UsageRecord& record, int64_t age_limit) {
  if (age_limit <= 0 || !record.last_used.set()) return true;
  return Now().nanos - record.last_used.nanos >= age_limit;
}

StatusOr<bool> WorkerMatches(const WorkerFacts& worker,
                             const google::protobuf::RepeatedPtrField<std::string>& filters) {
  ASSIGN_OR_RETURN(Filter filter, Filter::ParseAll({filters.begin(), filters.end()}));
  return filter.Match([&worker](std::span<const std::string> path) -> std::optional<std::string> {
    if (path.size() == 1 && path[0] == "id") return worker.id;
    if (path.size() < 2 || path[0] != "labels") return std::nullopt;
    std::vector<std::string> rest(path.begin() + 1, path.end());
    auto label = worker.labels.find(StrJoin(rest, "."));
    return label == worker.labels.end() ? std::nullopt : std::optional(label->second);
  });
}

}  // namespace kiln::api
