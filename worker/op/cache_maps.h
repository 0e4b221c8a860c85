// Cache maps of ops: what of an op, and of its inputs, decides its result.
//
// Pure functions of the op. Digests equal the reference's, so that caches can be
// exchanged with it.
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/status.h"
#include "solver/op.h"

namespace google::protobuf {
class Message;
}
namespace pb {
class ExecOp;
class FileOp;
class Op;
class Platform;
}  // namespace pb

namespace kiln::worker {

// In the reference's words; called once per vertex.
Status ValidateOp(const pb::Op& op);

// `platform` may be null: this machine's. `worker_id` is for messages only.
StatusOr<solver::CacheMap> ExecCacheMap(const pb::ExecOp& op, const pb::Platform* platform,
                                        size_t inputs, const std::string& worker_id = {});
StatusOr<solver::CacheMap> FileCacheMap(const pb::FileOp& op, size_t inputs,
                                        const std::string& worker_id = {});
// {"Type": `type`, `member`: op}, all inputs keyed by definition.
solver::CacheMap PlainCacheMap(std::string_view type, std::string_view member,
                               const google::protobuf::Message& op, size_t inputs);

}  // namespace kiln::worker
