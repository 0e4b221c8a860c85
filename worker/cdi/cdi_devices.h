// CdiDevices: the devices that CDI files of some folders offer on this machine.
//
// The folders are read again for each question, so that files may come and go. What a
// build may use is decided in control/.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "worker/cdi/cdi_spec.h"

namespace kiln::worker::cdi {

struct Device {
  std::string name;  // vendor/class=device
  bool auto_allow = false;
  std::map<std::string, std::string> annotations = {};  // of the file and its own
};

struct DeviceRequest {
  std::string name;  // a device, "KIND" (its first), "KIND=*" or a class of annotations
  bool optional = false;
};

// Thread-safe.
class CdiDevices {
 public:
  // The first fault of any file is an error; folders that are missing are none.
  static StatusOr<std::unique_ptr<CdiDevices>> Open(std::vector<std::string> folders,
                                                    std::vector<std::string> auto_allowed);

  // Sorted by name.
  std::vector<Device> List() const;
  // Qualified names, each once. `required device "X" is not registered`.
  StatusOr<std::vector<std::string>> Find(const std::vector<DeviceRequest>& wanted) const;
  // What the devices change in a container; facts that files leave out are taken from the
  // device nodes of this machine.
  StatusOr<ContainerEdits> EditsFor(const std::vector<DeviceRequest>& wanted) const;

 private:
  CdiDevices(std::vector<std::string> folders, std::vector<std::string> auto_allowed)
      : folders_(std::move(folders)), auto_allowed_(std::move(auto_allowed)) {}
  std::vector<std::string> folders_;
  std::vector<std::string> auto_allowed_;
};

// Completes a node from the one on this machine. Errors as the reference's.
Status FillDeviceNode(DeviceNode* node);

}  // namespace kiln::worker::cdi
