// Ref and MutableRef: thin handles over RefCore.
#include "cache/ref.h"

#include "cache/ref_core.h"

namespace kiln::cache {

std::string_view RecordTypeText(RecordType type) {
  switch (type) {
    case RecordType::kInternal: return "internal";
    case RecordType::kFrontend: return "frontend";
    case RecordType::kLocalSource: return "source.local";
    case RecordType::kGitCheckout: return "source.git.checkout";
    case RecordType::kCacheMount: return "exec.cachemount";
    case RecordType::kRegular: return "regular";
  }
  return "regular";
}

namespace {

const Status& NoTree() {
  static const Status* status = new Status(FailedPreconditionError("scratch has no tree"));
  return *status;
}

StatusOr<std::string> ReadMetadata(const StatePtr& state, std::string_view key) {
  if (state == nullptr) return NotFoundError(StrCat("metadata ", key, " of scratch: not found"));
  RecordRow row = state->core->RowOf(state->record);
  StatusOr<std::string> value = state->core->table.GetMetadata(row.id, key);
  // A frozen view of a mutable record has the same content, and so the same values.
  if (!value.ok() && !row.is_mutable && !row.equal.empty()) {
    return state->core->table.GetMetadata(row.equal, key);
  }
  return value;
}

Status WriteMetadata(const StatePtr& state, std::string_view key, std::string_view value,
                     bool searchable) {
  if (state == nullptr) return NoTree();
  return state->core->table.SetMetadata(state->record->row.id, key, value, searchable);
}

}  // namespace

std::string Ref::id() const { return empty() ? "" : state_->record->row.id; }

Ref Ref::Clone() const {
  return empty() ? Ref() : Ref(state_->core->Lease(state_->record, state_->sources));
}

StatusOr<MountLease> Ref::Mount(bool readonly, std::stop_token stop) const {
  return empty() ? StatusOr<MountLease>(NoTree())
                 : state_->core->Mount(state_, readonly, std::move(stop));
}

Status Ref::Extract(std::stop_token stop) const {
  return empty() ? OkStatus() : state_->core->Extract(state_, std::move(stop));
}

std::vector<Ref> Ref::LayerChain() const {
  std::vector<Ref> chain;
  if (empty()) return chain;
  for (const RecordPtr& layer : RefCore::LayersOf(state_->record)) {
    chain.emplace_back(state_->core->Lease(layer, state_->sources));
  }
  return chain;
}

StatusOr<Remote> Ref::GetRemote(bool create, const CompressionOptions& compression,
                                std::stop_token stop) const {
  return empty() ? StatusOr<Remote>(Remote{})
                 : state_->core->GetRemote(state_, create, compression, std::move(stop));
}

bool Ref::lazy() const { return !empty() && state_->core->IsLazy(state_->record); }

std::string Ref::description() const {
  return empty() ? "" : state_->core->RowOf(state_->record).description;
}

void Ref::SetDescription(std::string_view text) const {
  if (empty()) return;
  state_->core->Update(state_->record, [&](RecordRow& row) { row.description = text; });
}

Time Ref::created() const { return empty() ? Time{} : state_->core->RowOf(state_->record).created; }

StatusOr<int64_t> Ref::Size() const {
  if (empty()) return int64_t{0};
  ASSIGN_OR_RETURN(DiskUsage usage, state_->core->SizeOf(state_->record));
  return usage.bytes;
}

void Ref::SharesFiles() const {
  if (!empty()) state_->core->SharesFiles(state_->record);
}

StatusOr<std::string> Ref::GetMetadata(std::string_view key) const {
  return ReadMetadata(state_, key);
}

Status Ref::SetMetadata(std::string_view key, std::string_view value, bool searchable) const {
  return WriteMetadata(state_, key, value, searchable);
}

std::string MutableRef::id() const { return empty() ? "" : state_->record->row.id; }

StatusOr<MountLease> MutableRef::Mount(bool readonly, std::stop_token stop) const {
  return empty() ? StatusOr<MountLease>(NoTree())
                 : state_->core->Mount(state_, readonly, std::move(stop));
}

StatusOr<Ref> MutableRef::Commit() {
  if (empty()) return NoTree();
  ASSIGN_OR_RETURN(StatePtr frozen, state_->core->Commit(state_));
  state_.reset();
  return Ref(std::move(frozen));
}

StatusOr<std::string> MutableRef::GetMetadata(std::string_view key) const {
  return ReadMetadata(state_, key);
}

Status MutableRef::SetMetadata(std::string_view key, std::string_view value,
                               bool searchable) const {
  return WriteMetadata(state_, key, value, searchable);
}

}  // namespace kiln::cache
