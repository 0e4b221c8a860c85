// A table has a hundred thousand entries at times, so it is read as a stream of events.
#include "oci/estargz_toc.h"

#include <cstddef>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace kiln::oci {
namespace {

using Json = nlohmann::json;

// Where an event is: {toc: [{entry: {xattrs}}]}; what is deeper or elsewhere is passed over.
class TocEvents : public nlohmann::json_sax<Json> {
 public:
  explicit TocEvents(const std::function<Status(const EstargzEntry&)>& sink) : sink_(sink) {}

  Status result() const {
    if (!status_.ok()) return status_;
    if (version_ == 1 && seen_entries_) return OkStatus();
    return InvalidArgumentError("eStargz: no table of contents of version 1");
  }

  bool null() override {  // Go's way to write no entries
    seen_entries_ = seen_entries_ || (depth_ == kToc && toc_key_ == "entries");
    return true;
  }
  bool boolean(bool) override { return true; }
  bool number_float(double, const std::string&) override {
    return !in_entry() || depth_ != kEntry || Wrong("a number is no integer");
  }
  bool binary(Json::binary_t&) override { return true; }
  bool number_integer(int64_t value) override { return Number(value); }
  bool number_unsigned(uint64_t value) override {
    return value <= INT64_MAX ? Number(static_cast<int64_t>(value))
                              : Wrong("a number is too large");
  }
  bool string(std::string& value) override;
  bool key(std::string& name) override {
    if (depth_ == kToc) toc_key_ = name;
    if (depth_ == kEntry) entry_key_ = name;
    if (depth_ == kXattrs) xattr_key_ = name;
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ == kEntries && toc_key_ == "entries") entry_ = {};
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    if (depth_ != kEntries || toc_key_ != "entries") return true;
    status_ = sink_(entry_);
    return status_.ok();
  }
  bool start_array(std::size_t) override {
    if (depth_ == kToc && toc_key_ == "entries") seen_entries_ = true;
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return Wrong("no JSON");
  }

 private:
  enum Depth { kToc = 1, kEntries = 2, kEntry = 3, kXattrs = 4 };

  bool Wrong(std::string_view what) {
    if (status_.ok()) status_ = InvalidArgumentError(StrCat("eStargz table of contents: ", what));
    return false;
  }
  bool in_entry() const { return toc_key_ == "entries" && depth_ >= kEntry; }
  bool Number(int64_t value);

  const std::function<Status(const EstargzEntry&)>& sink_;
  Status status_;
  int depth_ = 0;
  int64_t version_ = 0;
  bool seen_entries_ = false;
  std::string toc_key_, entry_key_, xattr_key_;
  EstargzEntry entry_;
};

bool TocEvents::Number(int64_t value) {
  if (depth_ == kToc && toc_key_ == "version") version_ = value;
  if (!in_entry() || depth_ != kEntry) return true;
  static constexpr std::pair<std::string_view, int64_t EstargzEntry::*> kNumbers[] = {
      {"size", &EstargzEntry::size},
      {"mode", &EstargzEntry::mode},
      {"uid", &EstargzEntry::uid},
      {"gid", &EstargzEntry::gid},
      {"devMajor", &EstargzEntry::dev_major},
      {"devMinor", &EstargzEntry::dev_minor},
      {"offset", &EstargzEntry::offset},
      {"innerOffset", &EstargzEntry::inner_offset},
      {"chunkOffset", &EstargzEntry::chunk_offset},
      {"chunkSize", &EstargzEntry::chunk_size}};
  for (const auto& [name, member] : kNumbers) {
    if (entry_key_ == name) entry_.*member = value;
  }
  return true;
}

bool TocEvents::string(std::string& value) {
  if (!in_entry()) return true;
  if (depth_ == kXattrs && entry_key_ == "xattrs") {
    std::string bytes;
    if (!Base64Decode(value, &bytes)) return Wrong("an extended attribute is not base64");
    entry_.xattrs.emplace_back(xattr_key_, std::move(bytes));
    return true;
  }
  if (depth_ != kEntry) return true;
  static constexpr std::pair<std::string_view, std::string EstargzEntry::*> kTexts[] = {
      {"name", &EstargzEntry::name},
      {"type", &EstargzEntry::type},
      {"linkName", &EstargzEntry::link_name},
      {"modtime", &EstargzEntry::modtime},
      {"chunkDigest", &EstargzEntry::chunk_digest}};
  for (const auto& [name, member] : kTexts) {
    if (entry_key_ == name) entry_.*member = std::move(value);
  }
  return true;
}

}  // namespace

Status ParseEstargzToc(std::string_view json,
                       const std::function<Status(const EstargzEntry&)>& sink) {
  TocEvents events(sink);
  Json::sax_parse(json, &events);
  return events.result();
}

}  // namespace kiln::oci
