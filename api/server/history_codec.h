// History records between control (opaque bodies) and the wire.
#pragma once

#include "control/history.h"

namespace moby::buildkit::v1 {
class BuildHistoryEvent;
class BuildHistoryRequest;
class UpdateBuildHistoryRequest;
}  // namespace moby::buildkit::v1

namespace kiln::api {

moby::buildkit::v1::BuildHistoryEvent ToHistoryEvent(const control::HistoryEvent& event);
control::ListenOptions ListenOptionsOf(const moby::buildkit::v1::BuildHistoryRequest& request);
// Pins, deletes or finalizes one record.
Status UpdateHistory(control::History& history,
                     const moby::buildkit::v1::UpdateBuildHistoryRequest& request);

}  // namespace kiln::api
