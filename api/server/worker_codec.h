// Workers, versions and cache records in their wire form.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "api/server/server.h"

namespace moby::buildkit::v1 {
class UsageRecord;
namespace types {
class BuildkitVersion;
class WorkerRecord;
}  // namespace types
}  // namespace moby::buildkit::v1
namespace pb {
class Platform;
}

namespace kiln::api {

void FillPlatform(const Platform& platform, pb::Platform* out);
Platform FromPlatform(const pb::Platform& platform);
void FillVersion(const Version& version, moby::buildkit::v1::types::BuildkitVersion* out);
void FillWorker(const WorkerFacts& worker, const Version& version,
                moby::buildkit::v1::types::WorkerRecord* out);
void FillDevices(const worker::cdi::CdiDevices& devices,
                 moby::buildkit::v1::types::WorkerRecord* out);
void FillUsage(const cache::UsageRecord& record, moby::buildkit::v1::UsageRecord* out);
// Whether the record was not used for `age_limit` nanoseconds; 0: all records.
bool OldEnough(const cache::UsageRecord& record, int64_t age_limit);

// Filters on "id" and "labels.…"; any may match, none matches all.
StatusOr<bool> WorkerMatches(const WorkerFacts& worker,
                             const google::protobuf::RepeatedPtrField<std::string>& filters);

}  // namespace kiln::api
