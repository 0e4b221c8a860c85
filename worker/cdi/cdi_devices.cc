// Reads CDI folders: a later folder wins over an earlier one, equals cancel each other out.
#include "worker/cdi/cdi_devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker::cdi {
namespace {

constexpr char kClass[] = "org.mobyproject.buildkit.device.class";
constexpr char kAutoAllow[] = "org.mobyproject.buildkit.device.autoallow";

struct LoadedDevice {
  std::shared_ptr<const CdiSpec> spec;
  const SpecDevice* device = nullptr;  // of `spec`
  size_t priority = 0;
  std::string path = {};

  std::map<std::string, std::string> Annotations() const {
    std::map<std::string, std::string> all = device->annotations;
    all.insert(spec->annotations.begin(), spec->annotations.end());
    return all;
  }
};

// All that the folders offer at one moment.
struct Loaded {
  std::map<std::string, LoadedDevice> devices = {};
  Status first_fault = {};

  void Fault(Status status) {
    log::Warning(StrCat("CDI setup error ", status.message()));
    if (first_fault.ok()) first_fault = std::move(status);
  }
};

StatusOr<CdiSpec> ReadSpecFile(const std::string& path) {
  StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    return Annotate(text.status(), StrCat("failed to read CDI Spec ", Quote(path)));
  }
  return ParseCdiSpec(*text, path);
}

void AddSpec(std::shared_ptr<const CdiSpec> spec, const std::string& path, size_t priority,
             std::set<std::string>* conflicts, Loaded* loaded) {
  for (const SpecDevice& device : spec->devices) {
    std::string name = StrCat(spec->kind, "=", device.name);
    auto [entry, added] = loaded->devices.try_emplace(name);
    if (!added && entry->second.priority == priority) {
      loaded->Fault(InvalidArgumentError(StrCat("conflicting device ", Quote(name), " (specs ",
                                                Quote(path), ", ", Quote(entry->second.path),
                                                ")")));
      conflicts->insert(name);
      continue;
    }
    entry->second = {spec, &device, priority, path};
    conflicts->erase(name);
  }
}

Loaded Load(const std::vector<std::string>& folders) {
  Loaded loaded;
  std::set<std::string> conflicts;
  for (size_t priority = 0; priority < folders.size(); ++priority) {
    for (const std::string& name : ListDir(folders[priority]).value_or({})) {
      if (!name.ends_with(".yaml") && !name.ends_with(".json")) continue;
      const std::string path = JoinPath(folders[priority], name);
      struct stat st = {};
      if (::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) continue;
      StatusOr<CdiSpec> spec = ReadSpecFile(path);
      if (!spec.ok()) {
        // One text, as the reference runs them together.
        loaded.Fault(InvalidArgumentError(
            StrCat("failed to load CDI Spec ", spec.status().message())));
        continue;
      }
      AddSpec(std::make_shared<const CdiSpec>(*std::move(spec)), path, priority, &conflicts,
              &loaded);
    }
  }
  for (const std::string& name : conflicts) loaded.devices.erase(name);
  return loaded;
}

std::vector<std::string> OfClass(const Loaded& loaded, const std::string& wanted) {
  std::vector<std::string> found;
  for (const auto& [name, device] : loaded.devices) {
    auto annotations = device.Annotations();
    auto own = annotations.find(kClass);
    if (own != annotations.end() && own->second == wanted) found.push_back(name);
  }
  return found;
}

std::vector<std::string> Match(const Loaded& loaded, const std::string& wanted) {
  std::vector<std::string> found;
  std::string_view kind(wanted), device;
  StrCut(wanted, "=", &kind, &device);
  if (!SplitKind(kind).first.empty()) {
    for (const auto& [name, unused] : loaded.devices) {
      bool of_kind = name.starts_with(StrCat(kind, "="));
      if (device.empty() || device == "*" ? of_kind : name == wanted) found.push_back(name);
      if (device.empty() && !found.empty()) break;
    }
  }
  return found.empty() ? OfClass(loaded, wanted) : found;
}

StatusOr<std::vector<std::string>> FindIn(const Loaded& loaded,
                                          const std::vector<DeviceRequest>& wanted) {
  std::vector<std::string> all;
  for (const DeviceRequest& request : wanted) {
    std::vector<std::string> found = Match(loaded, request.name);
    if (found.empty() && !request.optional) {
      return UnknownError(StrCat("required device ", Quote(request.name), " is not registered"));
    }
    if (found.empty()) {
      log::Warning(StrCat("Optional device ", Quote(request.name), " is not registered"));
    }
    for (std::string& name : found) {
      if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(std::move(name));
    }
  }
  return all;
}

}  // namespace

Status FillDeviceNode(DeviceNode* node) {
  const bool complete = !node->type.empty() && (node->major != 0 || node->type == "p");
  if (node->host_path.empty()) node->host_path = node->path;
  struct stat st = {};
  Status seen = ::lstat(node->host_path.c_str(), &st) == 0 ? OkStatus() : ErrnoStatus(errno, "");
  const char* type = S_ISBLK(st.st_mode)   ? "b"
                     : S_ISCHR(st.st_mode) ? "c"
                     : S_ISFIFO(st.st_mode) ? "p"
                                            : nullptr;
  if (seen.ok() && type == nullptr) seen = InvalidArgumentError("not a device node");
  if (!seen.ok()) {
    if (complete) return OkStatus();
    return Annotate(seen, StrCat("failed to stat CDI host device ", Quote(node->host_path)));
  }
  if (!node->file_mode) node->file_mode = st.st_mode & ~static_cast<mode_t>(S_IFMT);
  if (complete) return OkStatus();
  if (node->type.empty()) node->type = type;
  if (node->type != type) {
    return InvalidArgumentError(StrCat("CDI device (", Quote(node->path), ", ",
                                       Quote(node->host_path), "), host type mismatch (",
                                       node->type, ", ", type, ")"));
  }
  if (node->type != "p" && node->major == 0) {
    node->major = major(st.st_rdev);
    node->minor = minor(st.st_rdev);
  }
  return OkStatus();
}

StatusOr<std::unique_ptr<CdiDevices>> CdiDevices::Open(std::vector<std::string> folders,
                                                       std::vector<std::string> auto_allowed) {
  RETURN_IF_ERROR(Load(folders).first_fault);
  return std::unique_ptr<CdiDevices>(
      new CdiDevices(std::move(folders), std::move(auto_allowed)));
}

std::vector<Device> CdiDevices::List() const {
  Loaded loaded = Load(folders_);
  std::vector<Device> out;
  for (const auto& [name, device] : loaded.devices) {
    Device entry{.name = name, .annotations = device.Annotations()};
    for (const std::string& allowed : auto_allowed_) {
      if (allowed == name || allowed == device.spec->kind) entry.auto_allow = true;
    }
    auto own = entry.annotations.find(kAutoAllow);
    bool value = false;
    if (own != entry.annotations.end() && ParseBool(own->second, &value) && value) {
      entry.auto_allow = true;
    }
    out.push_back(std::move(entry));
  }
  return out;
}

StatusOr<std::vector<std::string>> CdiDevices::Find(
    const std::vector<DeviceRequest>& wanted) const {
  return FindIn(Load(folders_), wanted);
}

StatusOr<ContainerEdits> CdiDevices::EditsFor(const std::vector<DeviceRequest>& wanted) const {
  Loaded loaded = Load(folders_);
  ASSIGN_OR_RETURN(std::vector<std::string> names, FindIn(loaded, wanted));
  ContainerEdits edits;
  std::set<const CdiSpec*> specs;
  for (const std::string& name : names) {
    const LoadedDevice& device = loaded.devices.at(name);
    if (specs.insert(device.spec.get()).second) edits.Append(device.spec->edits);
    edits.Append(device.device->edits);
  }
  for (DeviceNode& node : edits.device_nodes) {
    RETURN_IF_ERROR(Annotate(FillDeviceNode(&node), "failed to inject devices"));
  }
  return edits;
}

}  // namespace kiln::worker::cdi
