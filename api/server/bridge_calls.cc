// Solve, Return and the file calls; sources are in bridge_sources.cc.
#include "api/server/bridge_calls.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "api/proto/errdefs.pb.h"
#include "api/proto/gateway.pb.h"
#include "api/server/request_codec.h"
#include "api/tunnel/grpc_status.h"
#include "api/tunnel/session_headers.h"
#include "base/strings.h"
#include "control/reference.h"
#include "worker/op/failed_steps.h"
#include "worker/worker.h"

namespace kiln::api {
namespace {

frontend::DefinitionPtr Share(const pb::Definition& definition) {
  return std::make_shared<pb::Definition>(definition);
}

gateway::Ref RegisterRef(ClientFrontend& frontend, const frontend::ReferencePtr& reference) {
  gateway::Ref ref;
  ref.set_id(frontend.Register(reference));
  if (reference != nullptr && reference->definition() != nullptr) {
    *ref.mutable_def() = *reference->definition();
  }
  return ref;
}

void FillAttestation(ClientFrontend& frontend, const frontend::Attestation& in,
                     gateway::Attestation* out) {
  out->set_kind(static_cast<gateway::AttestationKind>(in.kind));
  out->mutable_metadata()->insert(in.metadata.begin(), in.metadata.end());
  if (in.ref != nullptr) *out->mutable_ref() = RegisterRef(frontend, in.ref);
  out->set_path(in.path);
  out->set_intotopredicatetype(in.in_toto_predicate_type);
  for (const auto& subject : in.subjects) {
    gateway::InTotoSubject* wire = out->add_intotosubjects();
    wire->set_kind(static_cast<gateway::InTotoSubjectKind>(subject.kind));
    wire->set_name(subject.name);
    for (const std::string& digest : subject.digests) wire->add_digest(digest);
  }
}

void FillRefs(ClientFrontend& frontend, const frontend::Result& result,
              const gateway::SolveRequest& request, gateway::Result* out) {
  if (!result.refs.empty()) {
    for (const auto& [platform, reference] : result.refs) {
      gateway::Ref ref = RegisterRef(frontend, reference);
      if (request.allowresultarrayref()) {
        (*out->mutable_refs()->mutable_refs())[platform] = ref;
      } else {
        (*out->mutable_refsdeprecated()->mutable_refs())[platform] = ref.id();
      }
    }
    return;
  }
  gateway::Ref ref = RegisterRef(frontend, result.ref);
  if (request.allowresultarrayref()) {
    *out->mutable_ref() = ref;
  } else {
    out->set_refdeprecated(ref.id());
  }
}

StatusOr<frontend::Attestation> ParseAttestation(ClientFrontend& frontend,
                                                 const gateway::Attestation& in) {
  frontend::Attestation out;
  out.kind = in.kind();
  out.metadata = ToStringMap(in.metadata());
  if (in.has_ref()) {
    ASSIGN_OR_RETURN(out.ref, frontend.Returned(in.ref().id()));
  }
  out.path = in.path();
  out.in_toto_predicate_type = in.intotopredicatetype();
  for (const gateway::InTotoSubject& subject : in.intotosubjects()) {
    out.subjects.push_back({subject.kind(), subject.name(),
                            {subject.digest().begin(), subject.digest().end()}});
  }
  return out;
}

Status ParseRefs(ClientFrontend& frontend, const gateway::Result& in, frontend::Result* out) {
  std::map<std::string, std::string> ids;
  std::string single;
  switch (in.result_case()) {
    case gateway::Result::kRefDeprecated: single = in.refdeprecated(); break;
    case gateway::Result::kRef: single = in.ref().id(); break;
    case gateway::Result::kRefsDeprecated: ids = ToStringMap(in.refsdeprecated().refs()); break;
    case gateway::Result::kRefs:
      for (const auto& [platform, ref] : in.refs().refs()) ids[platform] = ref.id();
      break;
    case gateway::Result::RESULT_NOT_SET: break;
  }
  for (const auto& [platform, id] : ids) {
    ASSIGN_OR_RETURN(out->refs[platform], frontend.Returned(id));
  }
  out->single = ids.empty();
  ASSIGN_OR_RETURN(out->ref, frontend.Returned(single));
  return OkStatus();
}

StatusOr<frontend::Result> ParseResult(ClientFrontend& frontend, const gateway::Result& in) {
  frontend::Result out;
  out.metadata = ToStringMap(in.metadata());
  RETURN_IF_ERROR(ParseRefs(frontend, in, &out));
  for (const auto& [platform, attestations] : in.attestations()) {
    for (const gateway::Attestation& attestation : attestations.attestation()) {
      ASSIGN_OR_RETURN(auto parsed, ParseAttestation(frontend, attestation));
      out.attestations[platform].push_back(std::move(parsed));
    }
  }
  return out;
}

// A reference that can be read: scratch has no files.
StatusOr<frontend::ReferencePtr> Readable(ClientFrontend& frontend, const std::string& id) {
  ASSIGN_OR_RETURN(frontend::ReferencePtr reference, frontend.Find(id));
  if (reference == nullptr) return UnknownError(StrCat("empty ref: ", id));
  return reference;
}

constexpr char kSolveUrl[] = "github.com/moby/buildkit/errdefs.Solve+json";

// The failure of a solve with what a client needs to look into it: the step's op, and
// ids of the trees that it had, under which containers can mount them.
Status WithSolve(ClientFrontend& frontend, Status status) {
  errdefs::Solve solve;
  if (const StatusDetail* step = status.FindDetail(control::kStepUrl)) {
    solve.ParseFromString(step->bytes);
  }
  if (const StatusDetail* failed = status.FindDetail(worker::kFailedStepUrl);
      failed != nullptr && frontend.build() != nullptr) {
    auto trees = frontend.build()->services->worker->failed_steps().Find(failed->bytes);
    for (cache::Ref& ref : trees.inputs) solve.add_inputids(frontend.RegisterTree(std::move(ref)));
    for (cache::Ref& ref : trees.mounts) solve.add_mountids(frontend.RegisterTree(std::move(ref)));
  }
  int64_t action = 0;
  if (const StatusDetail* index = status.FindDetail(worker::kFileActionUrl);
      index != nullptr && ParseInt64(index->bytes, &action)) {
    solve.mutable_file()->set_index(action);
  }
  if (const StatusDetail* index = status.FindDetail(worker::kContentCacheUrl);
      index != nullptr && ParseInt64(index->bytes, &action)) {
    solve.mutable_cache()->set_index(action);
  }
  status.AddDetail(kSolveUrl, solve.SerializeAsString());
  return status;
}

// How frontends ended before there was Return: by a solve, with metadata beside it.
Status ReturnSolved(ClientFrontend& frontend, const gateway::SolveRequest& request,
                    frontend::Result result) {
  gateway::Result attrs;  // its metadata is in JSON what Go's map of bytes is
  if (!google::protobuf::util::JsonStringToMessage(
           StrCat(R"({"metadata":)", request.exporterattr(), "}"), &attrs)
           .ok()) {
    return InvalidArgumentError("exporter attributes are no JSON object of bytes");
  }
  for (const auto& [key, value] : attrs.metadata()) result.metadata.try_emplace(key, value);
  return frontend.Return(std::move(result));
}

// Of a message whose one field are so many bytes.
uint64_t DataMessageSize(int64_t bytes) {
  uint64_t size = 2 + static_cast<uint64_t>(bytes);  // tag, first byte of the length
  for (int64_t rest = bytes >> 7; rest > 0; rest >>= 7) ++size;
  return size;
}

}  // namespace

void FillStat(const frontend::FileStat& in, fsutil::types::Stat* out) {
  out->set_path(in.path);
  out->set_mode(in.mode);
  out->set_uid(in.uid);
  out->set_gid(in.gid);
  out->set_size(in.size);
  out->set_modtime(in.mod_time);
  out->set_linkname(in.link_name);
}

Status SolveForFrontend(ClientFrontend& frontend, const gateway::SolveRequest& request,
                        std::stop_token stop, gateway::SolveResponse* response) {
  RETURN_IF_ERROR(frontend.CheckRoom());
  frontend::SolveRequest solve;
  if (request.has_definition()) solve.definition = Share(request.definition());
  solve.frontend = request.frontend();
  solve.frontend_opts = ToStringMap(request.frontendopt());
  for (const auto& [name, input] : request.frontendinputs()) {
    solve.frontend_inputs[name] = Share(input);
  }
  for (const gateway::CacheOptionsEntry& entry : request.cacheimports()) {
    solve.cache_imports.push_back({entry.type(), ToStringMap(entry.attrs())});
  }
  solve.evaluate = request.evaluate();
  for (const auto& policy : request.sourcepolicies()) {
    solve.source_policies.push_back(policy.SerializeAsString());
  }
  StatusOr<frontend::Result> solved = frontend.bridge().Solve(solve, stop);
  if (!solved.ok()) return WithSolve(frontend, std::move(solved).status());
  frontend::Result result = *std::move(solved);
  if (!result.refs.empty() && !request.allowresultreturn()) {
    return UnknownError("solve did not return default result");
  }
  gateway::Result* out = response->mutable_result();
  out->mutable_metadata()->insert(result.metadata.begin(), result.metadata.end());
  FillRefs(frontend, result, request, out);
  for (const auto& [platform, attestations] : result.attestations) {
    for (const auto& attestation : attestations) {
      FillAttestation(frontend, attestation,
                      (*out->mutable_attestations())[platform].add_attestation());
    }
  }
  if (!request.allowresultreturn()) {
    response->set_ref(out->has_ref() ? out->ref().id() : out->refdeprecated());
  }
  return request.final() ? ReturnSolved(frontend, request, std::move(result)) : OkStatus();
}

Status TooLarge(uint64_t bytes) {
  return ResourceExhaustedError(StrCat("grpc: trying to send message larger than max (", bytes,
                                       " vs. ", kMaxMessageBytes, ")"));
}

Status ReadFile(ClientFrontend& frontend, const gateway::ReadFileRequest& request,
                std::stop_token stop, gateway::ReadFileResponse* response, ReplyShare* share) {
  ASSIGN_OR_RETURN(auto reference, Readable(frontend, request.ref()));
  frontend::ReadFileOptions part{.offset = request.range().offset(),
                                 .length = request.range().length()};
  // Why there is no size is better said by the read.
  if (auto stat = reference->StatFile(request.filepath()); stat.ok() && stat->size > 0) {
    int64_t bytes = stat->size - std::clamp<int64_t>(part.offset, 0, stat->size);
    if (request.has_range()) bytes = std::clamp<int64_t>(part.length, 0, bytes);
    if (bytes > kMaxMessageBytes) return TooLarge(DataMessageSize(bytes));
    ASSIGN_OR_RETURN(*share, frontend.replies().Take(static_cast<size_t>(bytes), stop));
    part.length = std::max<int64_t>(bytes, 1);
  }
  auto data = reference->ReadFile(request.filepath(), part);
  if (!data.ok()) return WithSolve(frontend, std::move(data).status());
  if (request.has_range() && request.range().length() <= 0) data->clear();
  *response->mutable_data() = *std::move(data);
  return OkStatus();
}

Status ReadDir(ClientFrontend& frontend, const gateway::ReadDirRequest& request,
               std::stop_token stop, gateway::ReadDirResponse* response, ReplyShare* share) {
  ASSIGN_OR_RETURN(auto reference, Readable(frontend, request.ref()));
  // How many entries there are is not known before: one list at a time.
  ASSIGN_OR_RETURN(*share, frontend.replies().Take(ClientFrontend::kReplyRoom, stop));
  auto entries = reference->ReadDir(request.dirpath(), request.includepattern());
  if (!entries.ok()) return WithSolve(frontend, std::move(entries).status());
  for (const frontend::FileStat& entry : *entries) FillStat(entry, response->add_entries());
  (*share)->Keep(response->ByteSizeLong());
  return OkStatus();
}

Status StatFile(ClientFrontend& frontend, const gateway::StatFileRequest& request,
                gateway::StatFileResponse* response) {
  ASSIGN_OR_RETURN(auto reference, Readable(frontend, request.ref()));
  auto stat = reference->StatFile(request.path());
  if (!stat.ok()) {
    // A file that is not there is no failure of the solve.
    const bool solving = stat.status().FindDetail(control::kStepUrl) != nullptr;
    return solving ? WithSolve(frontend, std::move(stat).status()) : stat.status();
  }
  FillStat(*stat, response->mutable_stat());
  return OkStatus();
}

Status Evaluate(ClientFrontend& frontend, const gateway::EvaluateRequest& request) {
  ASSIGN_OR_RETURN(auto reference, Readable(frontend, request.ref()));
  Status status = reference->Evaluate();
  return status.ok() ? status : WithSolve(frontend, std::move(status));
}

Status Inputs(ClientFrontend& frontend, gateway::InputsResponse* response) {
  ASSIGN_OR_RETURN(auto inputs, frontend.bridge().Inputs());
  for (const auto& [name, definition] : inputs) {
    if (definition != nullptr) (*response->mutable_definitions())[name] = *definition;
  }
  return OkStatus();
}

Status Return(ClientFrontend& frontend, const gateway::ReturnRequest& request) {
  if (request.has_error()) {
    Status failure = FromRpcStatus(request.error());
    if (failure.ok()) failure = UnknownError(request.error().message());
    return frontend.Return(std::move(failure));
  }
  ASSIGN_OR_RETURN(frontend::Result result, ParseResult(frontend, request.result()));
  return frontend.Return(std::move(result));
}

Status Warn(ClientFrontend& frontend, const gateway::WarnRequest& request) {
  frontend::Warning warning;
  warning.vertex = Digest::Trusted(request.digest());
  warning.level = static_cast<int>(request.level());
  warning.short_text = request.short_();
  warning.detail.assign(request.detail().begin(), request.detail().end());
  warning.url = request.url();
  if (request.has_info()) warning.source_info = request.info().SerializeAsString();
  for (const pb::Range& range : request.ranges()) {
    warning.ranges.push_back({range.start().line(), range.start().character(), range.end().line(),
                              range.end().character()});
  }
  frontend.bridge().Warn(warning);
  return OkStatus();
}

}  // namespace kiln::api
