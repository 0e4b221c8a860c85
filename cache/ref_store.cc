// RefStore over RefCore: the public face, turning handles into states.
#include "cache/ref_store.h"

#include "cache/ref_core.h"

namespace kiln::cache {
namespace {

class DiskRefStore : public RefStore {
 public:
  explicit DiskRefStore(std::shared_ptr<RefCore> core) : core_(std::move(core)) {}

  StatusOr<MutableRef> NewMutable(const Ref& parent, const RecordOptions& options) override {
    ASSIGN_OR_RETURN(StatePtr state, core_->NewMutable(parent.state(), options));
    return MutableRef(std::move(state));
  }
  StatusOr<Ref> Get(std::string_view id) override { return AsRef(core_->Get(id)); }
  StatusOr<MutableRef> GetMutable(std::string_view id) override {
    ASSIGN_OR_RETURN(StatePtr state, core_->GetMutable(id));
    return MutableRef(std::move(state));
  }
  StatusOr<Ref> GetByBlob(const Layer& layer, const Ref& parent, const RecordOptions& options,
                          std::shared_ptr<BlobSource> source) override {
    return AsRef(core_->GetByBlob(layer, parent.state(), options, std::move(source)));
  }
  StatusOr<Ref> Merge(const std::vector<const Ref*>& inputs,
                      const RecordOptions& options) override {
    std::vector<StatePtr> states;
    for (const Ref* input : inputs) {
      if (input != nullptr) states.push_back(input->state());
    }
    return AsRef(core_->Merge(states, options));
  }
  StatusOr<Ref> Diff(const Ref& lower, const Ref& upper, const RecordOptions& options) override {
    return AsRef(core_->Diff(lower.state(), upper.state(), options));
  }
  StatusOr<std::vector<std::string>> Find(std::string_view key, std::string_view value) override {
    return core_->table.Find(key, value);
  }
  StatusOr<std::vector<UsageRecord>> Usage(const std::vector<std::string>& filters) override {
    return core_->Usage(filters);
  }
  Status Prune(const PruneOptions& options,
               const std::function<void(const UsageRecord&)>& removed) override {
    return core_->Prune(options, removed);
  }
  Status KeepBlobs(std::string_view owner, const std::vector<Digest>& blobs) override {
    return core_->table.KeepBlobs(owner, blobs);
  }
  Status DropBlobs(std::string_view owner) override { return core_->table.DropBlobs(owner); }
  bool Has(std::string_view id) override { return core_->Has(id); }
  void OnRemove(RemoveCallback callback) override {
    core_->SetOnRemove(std::move(callback));
  }
  ContentStore& content() override { return core_->content; }
  const std::string& temp_dir() const override { return core_->temp_dir; }

 private:
  static StatusOr<Ref> AsRef(StatusOr<StatePtr> state) {
    if (!state.ok()) return state.status();
    return *state == nullptr ? Ref() : Ref(*std::move(state));
  }
  std::shared_ptr<RefCore> core_;
};

}  // namespace

StatusOr<std::unique_ptr<RefStore>> RefStore::Open(const RefStoreOptions& options) {
  RefStoreOptions complete = options;
  LayerCodec defaults = OciLayerCodec();
  if (!complete.codec.unpack) complete.codec.unpack = defaults.unpack;
  if (!complete.codec.pack) complete.codec.pack = defaults.pack;
  if (!complete.codec.convert) complete.codec.convert = defaults.convert;
  auto core = std::make_shared<RefCore>(complete);
  RETURN_IF_ERROR(core->Open());
  return std::unique_ptr<RefStore>(std::make_unique<DiskRefStore>(std::move(core)));
}

}  // namespace kiln::cache
