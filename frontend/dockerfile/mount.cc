// Options of --mount and --device, read field by field: what a field may say depends
// on the fields before it, `type` above all.
#include "frontend/dockerfile/mount.h"

#include <algorithm>
#include <charconv>

#include "base/csv.h"
#include "base/strings.h"
#include "base/suggest.h"
#include "base/units.h"

namespace kiln::dockerfile {

namespace {

const std::vector<std::string>& MountTypes() {
  static const std::vector<std::string> types = {"bind", "cache", "secret", "ssh", "tmpfs"};
  return types;
}

const std::vector<std::string>& SharingModes() {
  static const std::vector<std::string> modes = {"locked", "private", "shared"};
  return modes;
}

const std::vector<std::string>& MountKeys() {
  static const std::vector<std::string> keys = {
      "type",        "from", "source", "target",    "readonly", "id",  "sharing",
      "required",    "size", "mode",   "uid",       "gid",      "src", "dst",
      "destination", "ro",   "rw",     "readwrite", "env"};
  return keys;
}

bool IsAmong(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

class MountReader {
 public:
  explicit MountReader(const WordExpander& expand) : expand_(expand) {}

  StatusOr<Mount> Read(std::string_view text) {
    StatusOr<std::vector<std::string>> fields = CsvFields(text);
    if (!fields.ok()) return Annotate(fields.status(), "failed to parse csv mounts");
    for (const std::string& field : *fields) {
      RETURN_IF_ERROR(ReadField(field));
    }
    RETURN_IF_ERROR(Finish());
    return mount_;
  }

 private:
  Status ReadField(const std::string& field) {
    std::string_view key_text;
    std::string_view value_text;
    const bool has_value = StrCut(field, "=", &key_text, &value_text);
    const std::string key = ToLower(key_text);
    if (!has_value) return expand_ ? ReadWord(key, field) : OkStatus();
    std::string value(value_text);
    if (!expand_) {
      // Everything but `from` waits until variables are known.
      if (key != "from") return OkStatus();
      const size_t dollar = value.find('$');
      if (dollar != std::string::npos && dollar + 1 != value.size()) {
        return UnknownError(
            "'from' doesn't support variable expansion, define alias stage instead");
      }
    } else {
      ASSIGN_OR_RETURN(value, expand_(value));
    }
    return ReadPair(key, value, field);
  }

  // A field without "=".
  Status ReadWord(std::string_view key, std::string_view field) {
    if (key == "readonly" || key == "ro") return SetReadOnly(true);
    if (key == "readwrite" || key == "rw") return SetReadOnly(false);
    if (key != "required") {
      return UnknownError(StrCat("invalid field '", field, "' must be a key=value pair"));
    }
    RETURN_IF_ERROR(CheckType(key, mount_.type == "secret" || mount_.type == "ssh"));
    mount_.required = true;
    return OkStatus();
  }

  Status ReadPair(const std::string& key, const std::string& value, const std::string& field) {
    if (key == "type") return SetChoice("mount type", value, MountTypes(), &mount_.type);
    if (key == "sharing") {
      return SetChoice("sharing value", value, SharingModes(), &mount_.cache_sharing);
    }
    if (key == "from") {
      mount_.from = value;
    } else if (key == "source" || key == "src") {
      mount_.source = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_.target = value;
    } else if (key == "id") {
      mount_.cache_id = value;
    } else if (key == "env") {
      mount_.env = value;
    } else {
      return ReadTyped(key, value, field);
    }
    return OkStatus();
  }

  Status ReadTyped(const std::string& key, const std::string& value, const std::string& field) {
    if (key == "readonly" || key == "ro" || key == "readwrite" || key == "rw") {
      bool set = false;
      if (!ParseBool(value, &set)) return Invalid(key, value);
      const bool means_read_only = key == "readonly" || key == "ro";
      return SetReadOnly(means_read_only == set);
    }
    if (key == "required") {
      RETURN_IF_ERROR(CheckType(key, mount_.type == "secret" || mount_.type == "ssh"));
      return ParseBool(value, &mount_.required) ? OkStatus() : Invalid(key, value);
    }
    if (key == "size") {
      RETURN_IF_ERROR(CheckType(key, mount_.type == "tmpfs"));
      const StatusOr<int64_t> size = ParseRamSize(value);
      if (!size.ok()) return Invalid(key, value);
      mount_.size_limit = *size;
      return OkStatus();
    }
    if (key == "mode") return SetNumber(key, value, 8, &mount_.mode);
    if (key == "uid") return SetNumber(key, value, 10, &mount_.uid);
    if (key == "gid") return SetNumber(key, value, 10, &mount_.gid);
    return WithSuggestion(UnknownError(StrCat("unexpected key '", key, "' in '", field, "'")), key,
                          MountKeys(), true);
  }

  static Status Invalid(std::string_view key, std::string_view value) {
    return UnknownError(StrCat("invalid value for ", key, ": ", value));
  }

  Status CheckType(std::string_view key, bool allowed) const {
    if (allowed) return OkStatus();
    return UnknownError(StrCat("unexpected key '", key, "' for mount type '", mount_.type, "'"));
  }

  Status SetReadOnly(bool value) {
    mount_.read_only = value;
    read_only_given_ = true;
    return OkStatus();
  }

  static Status SetChoice(std::string_view what, const std::string& value,
                          const std::vector<std::string>& choices, std::string* field) {
    const std::string lower = ToLower(value);
    if (!IsAmong(choices, lower)) {
      return WithSuggestion(UnknownError(StrCat("unsupported ", what, " ", Quote(value))), value,
                            choices, true);
    }
    *field = lower;
    return OkStatus();
  }

  static Status SetNumber(std::string_view key, const std::string& value, int base,
                          std::optional<uint64_t>* field) {
    uint64_t number = 0;
    const char* end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, number, base);
    if (result.ec != std::errc() || result.ptr != end || number > UINT32_MAX) {
      return UnknownError(StrCat("invalid value ", value, " for ", key));
    }
    *field = number;
    return OkStatus();
  }

  Status Finish() {
    const std::string& type = mount_.type;
    if (type != "secret" && type != "ssh" && type != "cache") {
      RETURN_IF_ERROR(Forbid("mode", mount_.mode));
      RETURN_IF_ERROR(Forbid("uid", mount_.uid));
      RETURN_IF_ERROR(Forbid("gid", mount_.gid));
    }
    if (!read_only_given_) mount_.read_only = type != "cache" && type != "tmpfs";
    if (type == "secret") RETURN_IF_ERROR(CheckSecret());
    if (!mount_.cache_sharing.empty() && type != "cache") {
      return UnknownError(StrCat("invalid cache sharing set for ", type, " mount"));
    }
    return OkStatus();
  }

  Status Forbid(std::string_view key, const std::optional<uint64_t>& value) const {
    if (!value.has_value()) return OkStatus();
    return UnknownError(StrCat(key, " not allowed for ", Quote(mount_.type), " type mounts"));
  }

  Status CheckSecret() const {
    if (!mount_.from.empty()) return UnknownError("secret mount should not have a from");
    if (!mount_.cache_sharing.empty()) {
      return UnknownError("secret mount should not define sharing");
    }
    if (mount_.source.empty() && mount_.target.empty() && mount_.cache_id.empty()) {
      return UnknownError("invalid secret mount. one of source, target required");
    }
    if (!mount_.source.empty() && !mount_.cache_id.empty()) {
      return UnknownError("both source and id can't be set");
    }
    return OkStatus();
  }

  const WordExpander& expand_;
  Mount mount_;
  bool read_only_given_ = false;
};

Status ReadDeviceField(const std::string& field, Device* device) {
  std::string_view key_text;
  std::string_view value;
  const bool has_value = StrCut(field, "=", &key_text, &value);
  const std::string key = ToLower(key_text);
  if (key == "required") {
    device->required = true;
    if (has_value && !ParseBool(value, &device->required)) {
      return UnknownError(StrCat("invalid value for ", key, ": ", value));
    }
  } else if (key == "name" && has_value) {
    if (!device->name.empty()) {
      return UnknownError(StrCat("device name already set to ", device->name));
    }
    device->name = value;
  } else if (device->name.empty()) {
    device->name = field;
  } else if (!has_value) {
    return UnknownError(StrCat("invalid field '", field, "' must be a key=value pair"));
  } else {
    return WithSuggestion(UnknownError(StrCat("unexpected key '", key, "' in '", field, "'")), key,
                          {"name", "required"}, true);
  }
  return OkStatus();
}

}  // namespace

StatusOr<Mount> ParseMount(std::string_view text, const WordExpander& expand) {
  return MountReader(expand).Read(text);
}

StatusOr<Device> ParseDevice(std::string_view text) {
  StatusOr<std::vector<std::string>> fields = CsvFields(text);
  if (!fields.ok()) return Annotate(fields.status(), "failed to parse csv devices");
  Device device;
  for (const std::string& field : *fields) {
    RETURN_IF_ERROR(ReadDeviceField(field, &device));
  }
  return device;
}

}  // namespace kiln::dockerfile
